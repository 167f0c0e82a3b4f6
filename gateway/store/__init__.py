"""Conversations that are kept: everything that reads or writes rows, and nothing of an answer that runs.

database    one SQLite file or one PostgreSQL: connections, time-outs, whose failure is what
schema      the tables; migrations/ how they came about, migrating: run at start, under a lock
rows        what goes in and comes out. Pure          shapes  how it is shown. Pure
ids, cursor, words   names of rows, places in lists, what is searched for
store       the life of it, and what one conversation's list and settings need
answers     what an answer needs: its history, its rows, its lease
search      full text       transfer    a file out, a file in: importing reads it
tidying     what is old goes, and what is gone is nowhere       limits      how much there may be. Pure

    routes ──▶ store ──▶ database ──▶ SQLAlchemy: imported only where there is a database
"""
