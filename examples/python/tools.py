"""A question that the model can answer with a tool: what it asks of the tool is done here, and the result goes back.

Models that were not trained to call tools answer without one, as the demo model does.
Run: python3 tools.py SOCKET ["Which day is it?"]
"""

import datetime
import sys

import apus

TODAY = apus.Tool(
    name="today",
    purpose="The date of today, or so many days later.",
    parameters={"type": "object", "properties": {"days": {"type": "integer", "description": "0 is today"}}},
)


def use(call):
    if call.name != TODAY.name:
        return f"there is no tool {call.name}"
    day = datetime.date.today() + datetime.timedelta(days=call.arguments.get("days", 0))
    print(f"[the model asks for {call.name} {call.arguments}]")
    return day.strftime("%A, %d %B %Y")


def main(path, question="Which day is it in three days?"):
    with apus.Client(path) as client:
        dialogue = apus.Dialogue(client, tools=[TODAY], maximum_tokens=128, temperature=0)
        print(dialogue.answer(question, use))


if __name__ == "__main__":
    main(*sys.argv[1:])
