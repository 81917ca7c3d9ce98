public import Platform

/// What a worker is doing, in one page of memory that its supervisor reads at any time, also when the worker is stuck.
///
/// | word | meaning | written by |
/// |---|---|---|
/// | 0 | phase of the engine (`EnginePhase`) | engine |
/// | 1 | steps that were begun | engine |
/// | 2 | layer of the step, from 1; one more than the model has for the output | engine |
/// | 3 | calls that the engine has | engine |
/// | 4, 5 | rows and sequences of the last step | engine |
/// | 6 | ids in the list | engine |
/// | 7 | phase of the preparation thread (`PreparationPhase`) | preparation |
/// | 8 | requests that it has begun or ended, together | preparation |
/// | 9 | call that it prepares | preparation |
/// | 10 | turns: how often the engine looked what to do | engine |
/// | 16… | calls of the last step, at most 64 | engine |
///
/// Each word has one thread that writes it; a store costs what a store to own memory costs. Words are not changed
/// together, so a reader may see two steps mixed: what counts for it is whether they change.
public struct ProgressPage: Sendable {
    public enum EnginePhase: UInt64, Sendable {
        case idle = 0
        case planning = 1
        case computing = 2
        case sampling = 3
    }

    public enum PreparationPhase: UInt64, Sendable {
        case idle = 0
        case loading = 1
        case preparing = 2
    }

    public static let wordCount = 512
    static let callLimit = 64

    private enum Word {
        static let enginePhase = 0
        static let steps = 1
        static let layer = 2
        static let calls = 3
        static let rows = 4
        static let sequences = 5
        static let listed = 6
        static let preparationPhase = 7
        static let preparations = 8
        static let preparedCall = 9
        static let turns = 10
        static let list = 16
    }

    private let words: SharedWords?

    /// A page that nobody reads.
    public init() { words = nil }

    /// - Parameter descriptor: of the file that the supervisor made with `makeFile`.
    public init(descriptor: Int32, writable: Bool) throws(SystemError) {
        words = try SharedWords(descriptor: descriptor, count: Self.wordCount, writable: writable)
    }

    public static func makeFile() throws(SystemError) -> FileDescriptor {
        try SharedWords.makeFile(name: "apus-progress", count: wordCount)
    }

    // MARK: Written by the worker

    public func enter(_ phase: EnginePhase) { words?[Word.enginePhase] = phase.rawValue }

    /// The engine looks what to do, also while calls only wait for credit.
    public func beginTurn() {
        guard let words else { return }
        words[Word.turns] = words[Word.turns] &+ 1
        enter(.planning)
    }

    /// - Parameter number: from 1.
    public func beginLayer(_ number: Int) { words?[Word.layer] = UInt64(number) }

    public func setCalls(_ count: Int) { words?[Word.calls] = UInt64(count) }

    /// - Parameter calls: of each sequence; choices of one call stand side by side.
    public func beginStep(rows: Int, sequences: Int, calls: some Sequence<CallID>) {
        guard let words else { return }
        words[Word.rows] = UInt64(rows)
        words[Word.sequences] = UInt64(sequences)
        var listed = 0
        var last = CallID.link
        for call in calls where call != last && listed < Self.callLimit {
            words[Word.list + listed] = call.rawValue
            listed += 1
            last = call
        }
        words[Word.listed] = UInt64(listed)
        words[Word.layer] = 0
        words[Word.steps] = words[Word.steps] &+ 1
        enter(.computing)
    }

    public func beginPreparation(_ phase: PreparationPhase, call: CallID) {
        guard let words else { return }
        words[Word.preparedCall] = call.rawValue
        words[Word.preparationPhase] = phase.rawValue
        words[Word.preparations] = words[Word.preparations] &+ 1
    }

    public func endPreparation() {
        guard let words else { return }
        words[Word.preparationPhase] = PreparationPhase.idle.rawValue
        words[Word.preparations] = words[Word.preparations] &+ 1
    }

    // MARK: Read by the supervisor

    /// What the page says now, whoever wrote it.
    public func read() -> WorkerProgress {
        var progress = WorkerProgress()
        guard let words else { return progress }
        // A number that is no phase is no idle one either.
        progress.enginePhase = EnginePhase(rawValue: words[Word.enginePhase]) ?? .computing
        progress.turns = words[Word.turns]
        progress.steps = words[Word.steps]
        progress.layer = words[Word.layer]
        progress.calls = words[Word.calls]
        progress.rows = words[Word.rows]
        progress.sequences = words[Word.sequences]
        progress.preparationPhase = PreparationPhase(rawValue: words[Word.preparationPhase]) ?? .preparing
        progress.preparations = words[Word.preparations]
        progress.preparedCall = CallID(rawValue: words[Word.preparedCall])
        let listed = Int(min(words[Word.listed], UInt64(Self.callLimit)))
        progress.batch = (0..<listed).map { CallID(rawValue: words[Word.list + $0]) }
        return progress
    }
}

/// A look at a worker's progress page.
public struct WorkerProgress: Sendable, Equatable {
    public var enginePhase = ProgressPage.EnginePhase.idle
    public var turns: UInt64 = 0
    public var steps: UInt64 = 0
    public var layer: UInt64 = 0
    public var calls: UInt64 = 0
    public var rows: UInt64 = 0
    public var sequences: UInt64 = 0
    public var preparationPhase = ProgressPage.PreparationPhase.idle
    public var preparations: UInt64 = 0
    public var preparedCall = CallID.link
    /// Calls of the last step; of a very large one the first.
    public var batch: [CallID] = []

    public init() {}
}
