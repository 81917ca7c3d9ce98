import EngineProtocol
import NativeEngine
import TestSupport
import Testing
import WorkerHost

/// Tool calls in a text, however it is cut.
@Suite struct ToolCallSplitterTests {
    struct Part: Equatable, CustomStringConvertible {
        let kind: TokenChunk.Kind
        var text: String
        var description: String { "\(kind): \(text)" }

        static func content(_ text: String) -> Part { Part(kind: .content, text: text) }
        static func call(_ text: String) -> Part { Part(kind: .toolCall, text: text) }
    }

    /// What comes of pieces of text; neighbouring content is joined.
    static func split(_ pieces: [String], flushes: Bool = true) -> [Part] {
        var splitter = ToolCallSplitter()
        var outputs: [ChoiceOutput] = []
        for piece in pieces {
            var output = ChoiceOutput()
            splitter.append(piece, to: &output)
            outputs.append(output)
        }
        var last = ChoiceOutput()
        if flushes { splitter.flush(to: &last) }
        return parts(of: outputs + [last])
    }

    static func parts(of outputs: [ChoiceOutput]) -> [Part] {
        var parts: [Part] = []
        for output in outputs {
            for part in [.content(output.content)] + output.rest.map({ Part(kind: $0.kind, text: $0.text) })
            where !part.text.isEmpty {
                if part.kind == .content, parts.last?.kind == .content {
                    parts[parts.count - 1].text += part.text
                } else {
                    parts.append(part)
                }
            }
        }
        return parts
    }

    static let weather = #"{"name": "weather", "arguments": {"city": "Köln 🌧"}}"#
    static let time = #"{"name":"time","arguments":{}}"#

    static let cases: [(text: String, parts: [Part])] = [
        ("no call at all", [.content("no call at all")]),
        ("<tool_call>\n\(weather)\n</tool_call>", [.call(weather)]),
        ("Let me see.<tool_call>\(time)</tool_call>", [.content("Let me see."), .call(time)]),
        (
            "<tool_call>\(time)</tool_call>\n<tool_call> \t\(weather)\r\n</tool_call>done",
            [.call(time), .content("\n"), .call(weather), .content("done")]
        ),
        ("a < b, <tool and <tool_cal", [.content("a < b, <tool and <tool_cal")]),
        ("<<tool_call>\(time)</tool_call>", [.content("<"), .call(time)]),
        // Not one of them is a call, and not a byte is lost.
        ("<tool_call>", [.content("<tool_call>")]),
        ("<tool_call>\(weather)", [.content("<tool_call>\(weather)")]),
        ("<tool_call>\(weather)</tool_cal", [.content("<tool_call>\(weather)</tool_cal")]),
        ("<tool_call>{name: 1}</tool_call> x", [.content("<tool_call>{name: 1}</tool_call> x")]),
        ("<tool_call></tool_call>", [.content("<tool_call></tool_call>")]),
        ("<tool_call>[1]</tool_call>", [.content("<tool_call>[1]</tool_call>")]),
        ("</tool_call>", [.content("</tool_call>")]),
        (
            "<tool_call>{}{}</tool_call><tool_call>{}</tool_call>",
            [.content("<tool_call>{}{}</tool_call>"), .call("{}")]
        ),
        // A closing tag in a string is part of the string.
        (
            #"<tool_call>{"a": "</tool_call> \" </tool_call>\\"}</tool_call>"#,
            [.call(#"{"a": "</tool_call> \" </tool_call>\\"}"#)]
        ),
    ]

    @Test(arguments: cases.indices)
    func `a text has the same parts however it is cut`(index: Int) {
        let (text, expected) = Self.cases[index]
        #expect(Self.split([text]) == expected)
        #expect(Self.split(text.map { String($0) }) == expected)
        var random = SeededRandom(seed: UInt64(index))
        for _ in 0..<20 {
            var pieces: [String] = [""]
            for character in text {
                if Int.random(in: 0..<4, using: &random) == 0 { pieces.append("") }
                pieces[pieces.count - 1].append(character)
            }
            #expect(Self.split(pieces) == expected, "\(pieces)")
        }
    }

    @Test func `a call is held back until it is whole, and content is not`() {
        let pieces = ["Well", " <", "tool_call>", String(Self.time.dropLast()), "}", "</tool_call", ">"]
        let known: [[Part]] = [
            [.content("Well")], [.content("Well ")], [.content("Well ")], [.content("Well ")], [.content("Well ")],
            [.content("Well ")], [.content("Well "), .call(Self.time)],
        ]
        for (count, expected) in known.enumerated() {
            #expect(Self.split(Array(pieces[...count]), flushes: false) == expected)
        }
    }

    @Test func `what is held back is counted`() {
        var splitter = ToolCallSplitter()
        var output = ChoiceOutput()
        for (piece, held) in [("ab<to", 3), ("ol_call>", 11), ("{}", 13), ("</tool_call>x", 0), ("<", 1), ("y", 0)] {
            splitter.append(piece, to: &output)
            #expect(splitter.heldBytes == held, "after \(piece)")
        }
        #expect(Self.parts(of: [output]) == [.content("ab"), .call("{}"), .content("x<y")])
    }

    @Test func `a call that never ends is content after a while`() {
        let long = "<tool_call>{\"a\": \"" + String(repeating: "x", count: 300_000)
        #expect(Self.split([long], flushes: false) == [.content(long)])
        let deep = "<tool_call>" + String(repeating: "{\"a\":", count: 100) + "1" + String(repeating: "}", count: 100)
        #expect(Self.split([deep + "</tool_call>"]) == [.content(deep + "</tool_call>")])
    }

    @Test func `stop strings come first, and cut a call off`() {
        func assemble(_ text: String, stops: [String], findsToolCalls: Bool = true) -> (parts: [Part], stopped: Bool) {
            var assembled = AssembledText(TextOptions(stopStrings: stops, findsToolCalls: findsToolCalls))
            var outputs: [ChoiceOutput] = []
            for byte in text.utf8 {
                var output = ChoiceOutput()
                let isStopped = assembled.append([byte], to: &output)
                if isStopped { assembled.flush(to: &output) }
                outputs.append(output)
                if isStopped { return (Self.parts(of: outputs), true) }
            }
            var last = ChoiceOutput()
            assembled.flush(to: &last)
            #expect(assembled.withheldBytes == 0)
            return (Self.parts(of: outputs + [last]), false)
        }
        let text = "<tool_call>\(Self.weather)</tool_call> END"
        #expect(assemble(text, stops: []).parts == [.call(Self.weather), .content(" END")])
        let stopped = assemble(text, stops: ["END"])
        #expect(stopped.parts == [.call(Self.weather), .content(" ")] && stopped.stopped)
        let cut = assemble(text, stops: ["arguments"])
        #expect(cut.parts == [.content(#"<tool_call>{"name": "weather", ""#)] && cut.stopped)
        #expect(assemble(text, stops: [], findsToolCalls: false).parts == [.content(text)])
    }
}
