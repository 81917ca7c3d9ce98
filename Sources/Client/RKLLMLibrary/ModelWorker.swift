import EngineProtocol
import Observability
import Platform
import Supervision

/// The `apus-worker` of one handle: a thread of its own holds the link, so that any thread may use the handle.
///
/// To the kernel, a worker's parent is the thread that started it, and with it the worker ends; the caller's thread may be
/// gone tomorrow.
///
/// Threading: all members are for any thread, but only one at a time waits for events.
final class ModelWorker: Sendable {
    private struct State {
        var events: [(CallID, EngineEvent)] = []
        /// How the worker ended, or why there is none.
        var end: String?
        var isAborted = false
        var nextSequence: UInt64 = 1
        var processID: Int32?
    }

    /// What a waiting thread finds.
    struct News {
        var events: [(CallID, EngineEvent)]
        var end: String?
        var isAborted: Bool
    }

    private let loop: EventLoop
    private let thread: Thread
    private let link: WorkerLink
    private let state: Monitor<State>
    let model: ModelDescription

    /// Starts a worker, loads a model and returns when it is there.
    init(workerPath: String, sources: ModelSources, load: LoadRequest) throws(Refusal) {
        let state = Monitor(State())
        let link = WorkerLink()
        do throws(SystemError) {
            let loop = try EventLoop()
            self.loop = loop
            thread = try LibraryThread.start(name: "rkllm-link") {
                link.serve(loop, workerPath, sources, load) { change in
                    state.change { state in
                        switch change {
                        case .started(let processID): state.processID = processID
                        case .events(let events): state.events += events
                        case .ended(let how): state.end = state.end ?? how
                        }
                    }
                }
            }
        } catch {
            throw Refusal(error.description)
        }
        self.link = link
        self.state = state
        do throws(Refusal) {
            model = try Self.loaded(state)
        } catch {
            loop.stop()
            thread.join()
            throw error
        }
    }

    private static func loaded(_ state: Monitor<State>) throws(Refusal) -> ModelDescription {
        while true {
            let news = next(state, knowsOfAbort: true)
            for (_, event) in news.events {
                if case .result(.loaded(let model)) = event { return model }
                if case .failed(let error) = event { throw Refusal(error) }
            }
            if let end = news.end { throw Refusal(end) }
        }
    }

    var processID: Int32? { state.withLock { $0.processID } }

    /// Ends the worker and the thread; nothing may follow.
    func stop() {
        loop.stop()
        thread.join()
    }

    /// Ends a worker that does not do what it is told; that is told as its end.
    func end(because reason: String) {
        let link = link
        loop.post { link.worker?.end(as: .stalled(what: reason)) }
    }

    // MARK: Calls

    /// Sends a request under a number of its own.
    ///
    /// - Parameter file: goes with the request, and is closed.
    func start(_ request: EngineRequest, file: consuming FileDescriptor? = nil) -> CallID {
        let id = state.withLock { state in
            defer { state.nextSequence += 1 }
            return CallID(generation: 1, sequence: state.nextSequence)
        }
        send(request, call: id, file: file)
        return id
    }

    /// Sends what belongs to a call that has been started.
    func send(_ request: EngineRequest, call: CallID, file: consuming FileDescriptor? = nil) {
        let descriptor = file?.release()
        loop.post { [link, state] in
            do throws(EngineError) {
                try link.worker?.send(request, call: call, descriptors: descriptor.map { [$0] } ?? [])
            } catch {
                state.change { $0.events.append((call, .failed(error))) }
            }
            if let descriptor { _ = FileDescriptor(owning: descriptor) }
        }
    }

    /// One request and its result.
    func call(_ request: EngineRequest, file: consuming FileDescriptor? = nil) throws(Refusal) -> EngineResult {
        let id = start(request, file: file)
        while true {
            let news = next(knowsOfAbort: true)
            for case (id, let event) in news.events {
                if case .result(let result) = event { return result }
                if case .failed(let error) = event { throw Refusal(error) }
            }
            if let end = news.end { throw Refusal(end) }
        }
    }

    /// Waits for events, for the worker's end, or for an abort that the caller does not know of.
    ///
    /// - Parameter deadline: monotonic nanoseconds, after which it returns with nothing; nil waits on.
    func next(knowsOfAbort: Bool, deadline: UInt64? = nil) -> News {
        Self.next(state, knowsOfAbort: knowsOfAbort, deadline: deadline)
    }

    private static func next(_ state: Monitor<State>, knowsOfAbort: Bool, deadline: UInt64? = nil) -> News {
        state.wait(
            until: { !$0.events.isEmpty || $0.end != nil || ($0.isAborted && !knowsOfAbort) },
            atMost: { _ in deadline.map { $0 - min($0, MonotonicClock.now()) } },
            then: { state in
                defer { state.events = [] }
                return News(events: state.events, end: state.end, isAborted: state.isAborted)
            })
    }

    /// Has whoever waits end its run.
    func abort() { state.change { $0.isAborted = true } }

    func forgetAbort() { state.withLock { $0.isAborted = false } }

    /// Whether the run that goes on is to end.
    var isAborted: Bool { state.withLock { $0.isAborted } }

    /// Why nothing can run any more; nil while the worker lives.
    var endText: String? { state.withLock { $0.end } }

    /// The most memory that the worker has had, in units of 2^20 bytes.
    var peakMemory: Float {
        guard let processID, let bytes = try? SmallFile.read(path: "/proc/\(processID)/status", limit: 64 << 10) else {
            return 0
        }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "VmHWM:".utf8) {
            let digits = line.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            return (Float(String(decoding: digits, as: UTF8.self)) ?? 0) / 1024
        }
        return 0
    }
}

/// What of a worker belongs to the thread of its loop.
private final class WorkerLink: @unchecked Sendable {
    enum Change {
        case started(processID: Int32)
        case events([(CallID, EngineEvent)])
        case ended(String)
    }

    /// On the loop only.
    private(set) var worker: WorkerProcess?

    /// Starts the worker and turns the loop until it is stopped.
    func serve(
        _ loop: EventLoop, _ workerPath: String, _ sources: ModelSources, _ load: LoadRequest,
        tell: @escaping @Sendable (Change) -> Void
    ) {
        do {
            // Before the process: a path that leads nowhere needs none.
            let model = try sources.open()
            let worker = try WorkerProcess(
                loop: loop, workerPath: workerPath, logger: Logger(component: "rkllm", sink: Unheard()))
            self.worker = worker
            tell(.started(processID: worker.processID))
            worker.onEvents = { tell(.events($0)) }
            worker.onEnd = { [unowned worker] end in
                let lastWords = worker.lastLines.filter { !$0.hasPrefix("{") }.suffix(3).joined(separator: "; ")
                tell(.ended("the model's process is gone (\(end.text))" + (lastWords.isEmpty ? "" : ": \(lastWords)")))
            }
            try model.load(load, into: worker)
        } catch let error as EngineError {
            tell(.ended(error.text))
        } catch {
            tell(.ended("\(error)"))
        }
        loop.run()
        worker?.onEvents = { _ in }
        worker?.onEnd = { _ in }
        worker?.kill()
        worker = nil
    }
}

/// What a worker logs is not the program's; why it ended is told.
private struct Unheard: LogSink {
    func write(line: [UInt8]) {}
}
