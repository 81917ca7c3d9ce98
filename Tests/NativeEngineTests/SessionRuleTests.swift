import EngineProtocol
import TestSupport
import Testing

@testable import NativeEngine

/// The rules of a session, without an engine.
@Suite struct SessionRuleTests {
    private static let id = SessionID(rawValue: 3)
    private static let call = CallID(rawValue: 9)

    private static func history(_ tokens: [Int32]) -> SessionHistory {
        SessionHistory(prompt: Prompt(tokens: tokens))
    }

    /// What a generation that keeps its history, or does not, goes on after.
    private static func start(_ session: Session<[Int32]>, keeps: Bool) throws -> [Int32] {
        try session.turn(SessionUse(id: id, keepsHistory: keeps)).history.prompt.tokens
    }

    @Test func `random generations and changes follow the rules`() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<300 {
            var session = Session<[Int32]>(id: Self.id)
            var held: [Int32] = []
            var paused: [Int32]?
            for step in 0..<40 {
                let keeps = random.next() % 2 == 0
                switch random.next() % 6 {
                case 0:
                    try session.clear()
                    (held, paused) = ([], nil)
                case 1:
                    let first = Int(random.next() % 8)
                    let end = first + Int(random.next() % 4)
                    let note: (inout [Int32], Range<Int>) -> Void = { $0.append(Int32($1.count)) }
                    let isAllowed = paused != nil && end <= held.count
                    if isAllowed {
                        try session.clearRange(first: UInt32(first), end: UInt32(end), note: note)
                        held.removeSubrange(first..<end)
                        paused?.append(Int32(end - first))
                    } else {
                        #expect(throws: EngineError.self) {
                            try session.clearRange(first: UInt32(first), end: UInt32(end), note: note)
                        }
                    }
                default:
                    let before = try Self.start(session, keeps: keeps)
                    #expect(before == (keeps || paused != nil ? held : []))
                    session.begin(Self.call, keepsHistory: keeps)
                    #expect(throws: EngineError.self) { try session.checkIdle() }
                    #expect(throws: EngineError.self) { try Self.start(session, keeps: keeps) }
                    #expect(throws: EngineError.self) { try session.clear() }
                    let left = before + [Int32(step)]
                    switch random.next() % 3 {
                    case 0:
                        session.end(.done(Self.history(left)))
                        (held, paused) = (keeps ? left : [], nil)
                    case 1:
                        session.end(.paused(Self.history(left), [7]))
                        (held, paused) = (left, [7])
                    default: session.end(.failed)
                    }
                }
                #expect(session.state == SessionState(positions: UInt32(held.count), isPaused: paused != nil))
                #expect(session.history.prompt.tokens == held)
                #expect(session.paused == paused)
            }
        }
    }

    @Test func `a range is checked by numbers`() throws {
        var session = Session<Int>(id: Self.id)
        session.begin(Self.call, keepsHistory: false)
        session.end(.paused(Self.history([1, 2, 3]), 0))
        for (first, end) in [(2, 1), (0, 4), (4, 4), (UInt32.max, UInt32.max)] as [(UInt32, UInt32)] {
            #expect(
                throws: EngineError.invalidRequest(
                    parameter: "end_pos",
                    message: "positions \(first) to before \(end) cannot be cleared, the session has 3")
            ) { try session.clearRange(first: first, end: end) { _, _ in } }
        }
        try session.clearRange(first: 3, end: 3) { _, _ in }
        try session.clearRange(first: 0, end: 3) { _, _ in }
        #expect(session.state == SessionState(positions: 0, isPaused: true))
    }

    @Test func `every change is noticed by what was prepared before`() throws {
        var session = Session<Int>(id: Self.id)
        let revision = session.revision
        try session.check(revision: revision)
        try session.clear()
        #expect(throws: EngineError.self) { try session.check(revision: revision) }
    }

    @Test func `rows stay with their positions, whatever is taken out`() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<300 {
            var rows = EmbeddedRows()
            var expected: [[Float]?] = []
            var next: Float = 0
            for _ in 0..<12 {
                let count = Int(random.next() % 5)
                switch random.next() % 3 {
                case 0: expected += Array(repeating: nil, count: count)
                case 1 where count > 0:
                    let values = (0..<count * 2).map { _ in
                        next += 1
                        return next
                    }
                    rows.append(Tensor(rows: UInt32(count), columns: 2, values: values), at: expected.count)
                    expected += (0..<count).map { [values[2 * $0], values[2 * $0 + 1]] }
                default:
                    let first = Int(random.next() % UInt64(expected.count + 1))
                    let end = min(expected.count, first + count)
                    rows.remove(first..<end)
                    expected.removeSubrange(first..<end)
                }
                for (position, row) in expected.enumerated() { #expect(rows.row(at: position).map(Array.init) == row) }
                #expect(rows.row(at: expected.count) == nil)
                #expect(rows.byteCount == expected.count { $0 != nil } * 8)
            }
        }
    }
}
