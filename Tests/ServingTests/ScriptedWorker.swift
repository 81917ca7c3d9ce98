import EngineProtocol
import Observability
import Platform
import Supervision

@testable import Serving

/// A worker whose life and answers the test decides.
///
/// Its states are those of the real supervisor.
final class ScriptedWorker: SupervisedWorker {
    private(set) var state = SupervisorState()
    private(set) var generation: UInt16 = 1
    private(set) var sent: [(id: CallID, request: EngineRequest)] = []
    /// Numbers of the descriptors that came beside requests.
    private(set) var files: [Int32] = []
    private(set) var served = 0
    var sendError: EngineError?

    var workerProcessID: Int32? { nil }
    var stillNanoseconds: UInt64 { 0 }
    var onReady: (ModelDescription) -> Void = { _ in }
    var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    var onLost: (WorkerEnd) -> Void = { _ in }
    var onFailed: (String) -> Void = { _ in }
    var onStopped: () -> Void = {}

    func start() {}
    func stop() { _ = state.handle(.stop, now: MonotonicClock.now()) }
    func noteServedRequest() {
        served += 1
        _ = state.handle(.servedRequest, now: MonotonicClock.now())
    }

    func send(_ request: EngineRequest, call: CallID, descriptors: [Int32]) throws(EngineError) {
        if let sendError { throw sendError }
        sent.append((call, request))
        files += descriptors
    }

    // What the test does

    func becomeReady() {
        _ = state.handle(.loaded, now: MonotonicClock.now())
        onReady(
            ModelDescription(
                architecture: "llama", name: "m", parameterCount: 1, vocabularySize: 1, contextLength: 1,
                trainedContextLength: 1, parallel: 1, threads: 1, weightBytes: 1, keyValueCacheBytes: 1,
                hasChatTemplate: true, loadNanoseconds: 1))
    }

    func die(_ end: WorkerEnd = .crashed(signal: 9)) {
        let actions = state.handle(.ended(end), now: MonotonicClock.now())
        onLost(end)
        for case .announceFailed(let verdict) in actions { onFailed(verdict) }
    }

    /// Dies, and another worker is ready.
    func restart(after end: WorkerEnd = .crashed(signal: 9)) {
        die(end)
        startNext()
        becomeReady()
    }

    func startNext() {
        _ = state.handle(.timeArrived, now: .max)
        generation += 1
    }

    func refuse(_ reason: String) {
        _ = state.handle(.loadRefused(reason: reason), now: MonotonicClock.now())
        onFailed(reason)
    }

    /// Ids of the generations that were sent, oldest first.
    var generations: [CallID] { sent.filter { $0.request != .cancel }.map(\.id) }
    /// What was asked for in them.
    var prompts: [String] {
        sent.compactMap {
            guard case .generate(let request) = $0.request, case .text(let prompt) = request.inputs[0] else {
                return nil
            }
            return prompt
        }
    }
    var cancels: [CallID] { sent.filter { $0.request == .cancel }.map(\.id) }
}

/// A door that takes everything at once.
final class RecordingListener: CallListener {
    private(set) var events: [EngineEvent] = []
    private(set) var wakeUps = 0
    var reads = true

    func callHasEvents(_ call: ServedCall) {
        wakeUps += 1
        if reads { take(from: call) }
    }

    func take(from call: ServedCall) {
        while let event = call.next() { events.append(event) }
    }

    var ends: [EngineEvent] { events.filter(\.isEnd) }
    var failure: EngineError? {
        for case .failed(let error) in events { return error }
        return nil
    }
}

/// One model with a scripted worker behind a real `Serving`.
final class ServingBench {
    let loop: EventLoop
    let serving: Serving
    let worker = ScriptedWorker()
    private var calls = 0

    init(_ change: (inout ServingLimits) -> Void = { _ in }) throws {
        var limits = ServingLimits()
        change(&limits)
        loop = try EventLoop()
        serving = Serving(
            loop: loop, limits: limits, logger: Logger(component: "test", level: .error, sink: MemorySink()))
        serving.add(name: "m", supervisor: worker)
    }

    func submit(
        _ listener: RecordingListener, id: String? = nil, requestID: String = "r", tenant: String = "t",
        deadline: UInt64 = 0, prompt: String? = nil, resumes: Bool = false
    ) throws -> ServedCall {
        calls += 1
        let request = EngineRequest.generate(
            GenerateRequest(inputs: [.text(prompt ?? "prompt \(calls)")], deadline: deadline))
        let identity = CallIdentity(publicID: id ?? "c\(calls)", requestID: requestID, tenant: tenant)
        return try serving.submit(request, model: nil, identity: identity, resumes: resumes, listener: listener)
    }

    /// Turns the loop for so long.
    func turn(milliseconds: UInt64) {
        _ = loop.after(nanoseconds: milliseconds * 1_000_000) { [loop] in loop.stop() }
        loop.run()
    }
}

let finish = EngineEvent.finished(
    usage: Usage(promptTokens: 1, completionTokens: 1, cachedTokens: 0),
    timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1))
let accepted = EngineEvent.accepted(promptTokens: 1, queuePosition: 0)

func chunk(_ text: String) -> EngineEvent { .tokens(TokenChunk(choice: 0, ids: [1], text: text)) }
