"""Ollama's own client library, pointed at Sluice instead of at Ollama: nothing else changes.

pip install ollama
python examples/ollama_client.py MODEL "why is the sky blue?" [http://localhost:8080]
"""

import sys

import ollama


def main() -> None:
    """Print the answer as it comes, and what the model server said of its speed."""
    model, question = sys.argv[1:3]
    client = ollama.Client(sys.argv[3] if len(sys.argv) > 3 else "http://localhost:8080")
    for part in client.chat(model, messages=[{"role": "user", "content": question}], stream=True):
        print(part.message.content or "", end="", flush=True)
        if part.done:
            print(f"\n[{part.done_reason}, {part.eval_count} tokens]", file=sys.stderr)


if __name__ == "__main__":
    main()
