"""What becomes of kept answers when a gateway dies, or the database does: real processes, told in lines.

python -m tests.kept kills 50 sqlite     gateways are killed in the middle of answers; another takes them over
python -m tests.kept away postgres       the database is slow, read-only, full and away while answers come
"""
