import EngineProtocol
import TestSupport
import Testing

@testable import Serving

@Suite("Delivered answer") struct DeliveredAnswerTests {
    private func stop(_ choice: UInt32 = 0, _ reason: FinishReason = .stop) -> EngineEvent {
        .choiceFinished(choice: choice, reason: reason)
    }

    @Test(
        "the second run goes on where the first one ended, whatever its pieces are",
        arguments: 1...8 as ClosedRange<UInt64>)
    func resumed(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let words = (0..<200).map { "\($0 % 3 == 0 ? "ü" : "w")\($0)🙂" }
        let entries = words.enumerated().map { index, word in
            TokenLogProbabilities(
                chosen: TokenLogProbability(id: Int32(index), logProbability: -1, bytes: Array(word.utf8)), top: [])
        }
        /// The words of two choices in pieces of one to five.
        func run() -> [EngineEvent] {
            var next = [0, 0]
            var events: [EngineEvent] = [accepted, .started(cachedTokens: 0)]
            while next != [words.count, words.count] {
                let choice = Int.random(in: 0...1, using: &random)
                let end = min(words.count, next[choice] + Int.random(in: 1...5, using: &random))
                guard next[choice] < end else { continue }
                let range = next[choice]..<end
                events.append(
                    .tokens(
                        TokenChunk(
                            choice: UInt32(choice), ids: range.map(Int32.init), text: words[range].joined(),
                            logProbabilities: Array(entries[range]))))
                next[choice] = end
                if end == words.count { events.append(stop(UInt32(choice), .length)) }
            }
            return events + [finish]
        }
        var answer = DeliveredAnswer()
        var text = ["", ""]
        var ids: [[Int32]] = [[], []]
        var shown: [[TokenLogProbabilities]] = [[], []]
        var ends = 0
        for cut in [Int.random(in: 0..<60, using: &random), Int.random(in: 0..<90, using: &random), Int.max] {
            answer.beginRun()
            for event in run().prefix(cut) {
                switch answer.take(event) {
                case .new(.tokens(let chunk)):
                    text[Int(chunk.choice)] += chunk.text
                    ids[Int(chunk.choice)] += chunk.ids
                    shown[Int(chunk.choice)] += chunk.logProbabilities
                case .new(.choiceFinished), .new(.finished): ends += 1
                case .new, .known: break
                case .differs: Issue.record("seed \(seed): \(event)")
                }
            }
        }
        let whole = words.joined()
        #expect(text == [whole, whole] && ends == 3, "seed \(seed)")
        #expect(ids == Array(repeating: words.indices.map(Int32.init), count: 2), "seed \(seed)")
        #expect(shown == [entries, entries], "seed \(seed)")
    }

    /// First runs, and second ones that say something else.
    static let differing: [(what: String, first: [EngineEvent], second: [EngineEvent])] = [
        ("another word", [chunk("one two")], [chunk("one "), chunk("too")]),
        ("another word beyond a known one", [chunk("one")], [chunk("on two")]),
        ("a shorter choice", [chunk("one two")], [chunk("one"), .choiceFinished(choice: 0, reason: .stop)]),
        ("a shorter answer", [chunk("one two")], [chunk("one"), finish]),
        (
            "a longer choice", [chunk("one"), .choiceFinished(choice: 0, reason: .stop)],
            [chunk("one"), chunk(" two")]
        ),
        (
            "another reason", [chunk("one"), .choiceFinished(choice: 0, reason: .stop)],
            [chunk("one"), .choiceFinished(choice: 0, reason: .length)]
        ),
    ]

    @Test("a second run that says something else is found out at its first wrong event", arguments: differing.indices)
    func differs(index: Int) {
        let row = Self.differing[index]
        var answer = DeliveredAnswer()
        let first = row.first.map { answer.take($0) }
        #expect(first == row.first.map { .new($0) })
        answer.beginRun()
        let outcomes = row.second.map { answer.take($0) }
        #expect(outcomes.last == .differs && !outcomes.dropLast().contains(.differs), "\(row.what)")
    }

    @Test("an error of the second run is new")
    func failure() {
        var answer = DeliveredAnswer()
        _ = answer.take(chunk("one"))
        answer.beginRun()
        let outcome = answer.take(.failed(.cancelled))
        #expect(outcome == .new(.failed(.cancelled)))
    }
}
