"""`make mutants`: is the suite able to see a bug? Thirty are planted, one at a time, in a copy of the tree.

``planted`` the bugs as data: an edit of our own code, and the tests that must fail · ``__main__`` plants them.
"""
