"""A process that never stops talking."""

while True:
    print("word" * 100, flush=True)
