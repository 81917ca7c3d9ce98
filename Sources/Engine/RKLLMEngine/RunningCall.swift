import CRKLLM
import EngineProtocol
import Platform

/// The call that the runtime works on, run after run.
///
/// It belongs to the run thread, which is in `perform` while the runtime calls `take`.
final class RunningCall {
    /// How a run has ended, as the runtime says.
    enum Outcome {
        case unknown, finished, failed
    }

    let call: CallID
    let work: PreparedRuns
    let core: EngineCore
    private let acceptedAt: UInt64
    private let startedAt = MonotonicClock.now()
    var firstTokenAt: UInt64?
    var lastTokenAt: UInt64?
    /// Positions of the history that the call goes on after.
    private(set) var history = 0
    var promptTokens = 0
    var completionTokens = 0
    var vectors = PooledVectors()
    var figures: RuntimeFigures?

    // Of the run
    var elements: [BatchElement] = []
    var mode = apus_rkllm_generate
    var outcome = Outcome.unknown
    var isPaused = false
    /// The runtime said more than anybody wanted, and was told to end.
    var wasStopped = false

    init(_ call: CallID, _ work: PreparedRuns, acceptedAt: UInt64, core: EngineCore) {
        self.call = call
        self.work = work
        self.acceptedAt = acceptedAt
        self.core = core
    }

    func perform(cache: inout RuntimeCache) {
        guard !isLate else { return core.say([.failed(.deadlineExceeded)], of: call) }
        do throws(EngineError) {
            let goesOn = try goesOn(cache)
            if goesOn { history = try positions(of: cache) }
            if work.isAcceptedLate { core.say([EngineCore.accepted(work, history: history, position: 0)], of: call) }
            if case .generation = work.answer {
                core.say([.started(cachedTokens: UInt32(clamping: history))], of: call)
            }
            var next = 0
            while next < work.runs.count, core.isOpen(call) {
                let choices = batch(from: next)
                try perform(choices, goesOn: goesOn, cache: &cache)
                next = choices.upperBound
            }
            core.say([end], of: call)
        } catch {
            core.say([.failed(error)], of: call)
        }
    }

    /// The choices that one run computes.
    private func batch(from first: Int) -> Range<Int> {
        let most = min(work.runs.count, first + core.model.settings.batch)
        let end = (first..<most).first { !work.runs[$0].canShareRun(with: work.runs[first]) }
        return first..<(end ?? most)
    }

    var isLate: Bool { work.deadline != 0 && MonotonicClock.now() >= work.deadline }

    // MARK: What it says

    func say(_ events: [EngineEvent]) {
        if !events.isEmpty { core.say(events, of: call) }
    }

    /// The event after which a call that went well has no more.
    var end: EngineEvent {
        if case .embedding = work.answer {
            return .result(.embedded(vectors.tensor, promptTokens: UInt32(clamping: promptTokens)))
        }
        return .finished(
            usage: Usage(
                promptTokens: UInt32(clamping: promptTokens), completionTokens: UInt32(clamping: completionTokens),
                cachedTokens: UInt32(clamping: history)),
            timings: Timings(
                preparation: work.preparationNanoseconds, queue: Self.span(acceptedAt, startedAt),
                prefill: Self.span(startedAt, firstTokenAt), decode: Self.span(firstTokenAt, lastTokenAt),
                runtime: figures))
    }

    private static func span(_ start: UInt64?, _ end: UInt64?) -> UInt64 {
        guard let start, let end, end > start else { return 0 }
        return end - start
    }
}
