"""Which of a few sentences mean most nearly the same? Compares their embeddings.

Run: python3 embed.py SOCKET ["A question" "a text" "another text" …]
"""

import sys

import apus

SENTENCES = ["Where do swifts sleep?", "Swifts sleep on the wing.", "The server listens on port 8080."]


def main(path, *sentences):
    question, *texts = sentences or SENTENCES
    with apus.Client(path) as client:
        answer = client.embed([question, *texts], pooling=apus.Pooling.MEAN)
    first, *others = answer.vectors
    print(f"{answer.prompt_tokens} tokens, vectors of {answer.vectors.columns} numbers; nearest to '{question}':")
    # The vectors have length 1, so this is the cosine of the angle between them.
    likeness = [sum(a * b for a, b in zip(first, other)) for other in others]
    for value, text in sorted(zip(likeness, texts), reverse=True):
        print(f"{value:7.4f}  {text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
