import EngineProtocol
import Foundation
import Platform
import Supervision
import Testing

@testable import Serving

/// Sessions at a model's worker, through real `Serving`.
@Suite("Sessions") struct SessionTests {
    private let identity = CallIdentity(publicID: "p", requestID: "r", tenant: "t")

    private func readyBench(_ change: (inout ServingLimits) -> Void = { _ in }) throws -> ServingBench {
        let bench = try ServingBench(change)
        bench.worker.becomeReady()
        return bench
    }

    private func id(_ bench: ServingBench) throws -> CallID { try #require(bench.worker.sent.last?.id) }

    private func open(_ bench: ServingBench, _ listener: RecordingListener) throws -> ServedSession {
        let (session, _) = try bench.serving.openSession(model: "m", identity: identity, listener: listener)
        bench.worker.onEvents([(try id(bench), .result(.session(SessionState())))])
        return session
    }

    private func generate(_ session: ServedSession, keeps: Bool = true) -> EngineRequest {
        var request = GenerateRequest(inputs: [.text("x")])
        request.session = SessionUse(id: session.id, keepsHistory: keeps)
        return .generate(request)
    }

    private func submit(
        _ bench: ServingBench, _ session: ServedSession, _ request: EngineRequest, _ listener: RecordingListener,
        files: [AttachedFile] = []
    ) throws -> ServedCall {
        try bench.serving.submit(request, in: session, identity: identity, files: files, listener: listener)
    }

    @Test("a session takes one call at a time, says when the next may come, and knows what it holds")
    func uses() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let session = try open(bench, listener)
        #expect(listener.events == [.result(.session(SessionState()))] && !session.isBusy)
        var idle = 0
        session.onIdle = { idle += 1 }
        _ = try submit(bench, session, generate(session), listener)
        #expect(session.isBusy)
        #expect(throws: EngineError.queueFull(retryAfterMilliseconds: 100)) {
            try submit(bench, session, generate(session), listener)
        }
        let call = try id(bench)
        bench.worker.onEvents([(call, accepted), (call, chunk("a")), (call, finish)])
        bench.turn(milliseconds: 1)
        #expect(idle > 0 && session.state == SessionState(positions: 2))
        _ = try submit(bench, session, .changeSession(session.id, .clear(keepsSystemPrompt: false)), listener)
        bench.worker.onEvents([(try id(bench), .result(.session(SessionState(cachedPositions: 3))))])
        #expect(session.state == SessionState(cachedPositions: 3))
        bench.serving.close(session)
        #expect(bench.worker.sent.last?.request == .closeSession(session.id))
        #expect(throws: EngineError.self) { try submit(bench, session, generate(session), listener) }
    }

    /// A prompt's tokens are those of all that it goes on after.
    @Test("what a session holds is the prompt and the answer, however they end")
    func positions() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let session = try open(bench, listener)
        func run(keeps: Bool = true, _ events: EngineEvent...) throws -> SessionState {
            _ = try submit(bench, session, generate(session, keeps: keeps), listener)
            let call = try id(bench)
            bench.worker.onEvents(events.map { (call, $0) })
            return session.state
        }
        func end(_ prompt: UInt32, _ completion: UInt32) -> EngineEvent {
            .finished(
                usage: Usage(promptTokens: prompt, completionTokens: completion, cachedTokens: 0),
                timings: Timings(preparation: 0, queue: 0, prefill: 0, decode: 0))
        }
        let accepted = EngineEvent.accepted(promptTokens: 10, queuePosition: 0)
        #expect(try run(.accepted(promptTokens: 2, queuePosition: 0), end(2, 1)) == SessionState(positions: 3))
        #expect(try run(accepted, end(10, 4)) == SessionState(positions: 14), "the new text is longer than the old")
        #expect(try run(.failed(.cancelled)) == SessionState(positions: 14), "it never began")
        let failure = EngineEvent.failed(.internalError(id: "x", message: "x"))
        #expect(try run(accepted, chunk("a"), failure) == SessionState(positions: 14), "a failure changes nothing")
        #expect(try run(.failed(.cancelled)) == SessionState(positions: 14), "nor does it count later")
        #expect(try run(accepted, .failed(.cancelled)) == SessionState(positions: 10), "the prompt stays")
        #expect(try run(accepted, chunk("a"), chunk("b"), .failed(.cancelled)) == SessionState(positions: 12))
        #expect(try run(keeps: false, accepted, end(10, 4)) == SessionState())
    }

    @Test("a cancelled call keeps its session busy until the worker has let go, and then it is closed")
    func cancelled() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let session = try open(bench, listener)
        let call = try submit(bench, session, generate(session), listener)
        let number = try id(bench)
        bench.worker.onEvents([(number, accepted), (number, chunk("a"))])
        bench.serving.cancel(call)
        #expect(session.isBusy)
        bench.serving.close(session)
        #expect(bench.worker.sent.last?.request == .cancel)
        bench.worker.onEvents([(number, .failed(.cancelled))])
        #expect(bench.worker.sent.last?.request == .closeSession(session.id))
    }

    @Test("with its worker a session is lost: its call fails, is not sent again, and neither is the next")
    func lost() throws {
        let bench = try readyBench()
        let (listener, other) = (RecordingListener(), RecordingListener())
        let session = try open(bench, listener)
        _ = try submit(bench, session, generate(session), listener)
        _ = try bench.submit(other, resumes: true)
        bench.worker.restart(after: .crashed(signal: 9))
        guard case .workerLost? = listener.failure else { throw CancellationError() }
        #expect(session.isLost && bench.worker.generations.count == 4, "open, two runs, and one of them again")
        #expect(throws: EngineError.workerLost(.crashed, retryAfterMilliseconds: 0)) {
            try submit(bench, session, generate(session), listener)
        }
        let count = bench.worker.sent.count
        bench.serving.close(session)
        #expect(bench.worker.sent.count == count, "the new worker knows nothing of it")
    }

    @Test("a session that is being opened when its worker dies is opened at the next one")
    func reopened() throws {
        let bench = try ServingBench()
        let listener = RecordingListener()
        let (session, _) = try bench.serving.openSession(model: "m", identity: identity, listener: listener)
        bench.worker.becomeReady()
        #expect(bench.worker.sent.count == 1, "it waited for the model")
        bench.worker.restart(after: .crashed(signal: 9))
        #expect(bench.worker.sent.map(\.request) == Array(repeating: .openSession(session.id), count: 2))
        bench.worker.onEvents([(try id(bench), .result(.session(SessionState())))])
        #expect(!session.isLost && listener.ends.count == 1)
        _ = try submit(bench, session, generate(session), listener)
        // One that is closed before it is open is closed as soon as it is.
        let (early, _) = try bench.serving.openSession(model: "m", identity: identity, listener: listener)
        let opening = try id(bench)
        bench.serving.close(early)
        #expect(bench.worker.sent.last?.request == .openSession(early.id))
        bench.worker.onEvents([(opening, .result(.session(SessionState())))])
        #expect(bench.worker.sent.last?.request == .closeSession(early.id))
    }

    @Test("nobody uses a session that was opened by somebody else")
    func foreign() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let (first, second) = (try open(bench, listener), try open(bench, listener))
        #expect(first.id != second.id)
        #expect(throws: EngineError.self) {
            try bench.serving.submit(generate(first), model: nil, identity: identity, listener: listener)
        }
        #expect(throws: EngineError.self) { try submit(bench, second, generate(first), listener) }
        #expect(throws: EngineError.self) {
            try bench.serving.submit(.closeSession(first.id), model: nil, identity: identity, listener: listener)
        }
    }

    @Test("sessions of a model are bounded")
    func bounds() throws {
        let bench = try readyBench { $0.sessionsPerModel = 2 }
        let listener = RecordingListener()
        let first = try open(bench, listener)
        _ = try open(bench, listener)
        guard case .resourceExhausted? = #expect(throws: EngineError.self, performing: { try open(bench, listener) })
        else { throw CancellationError() }
        bench.serving.close(first)
        _ = try open(bench, listener)
    }

    @Test("a file goes with its request and is closed, whatever becomes of it")
    func files() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        func file() throws -> (AttachedFile, Int32) {
            let descriptor = try FileDescriptor.openForReading(path: "/etc/hostname")
            let number = descriptor.rawValue
            return (AttachedFile(descriptor), number)
        }
        func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }
        let request = EngineRequest.loadAdapter(AdapterRequest(name: "a"))
        do {
            let (sent, number) = try file()
            _ = try bench.serving.submit(request, model: nil, identity: identity, files: [sent], listener: listener)
            #expect(bench.worker.files == [number])
        }
        #expect(!isOpen(bench.worker.files[0]), "the message has its own")
        bench.worker.restart(after: .crashed(signal: 9))
        guard case .workerLost? = listener.failure else { throw CancellationError() }
        bench.worker.die(.crashed(signal: 9))
        let held = RecordingListener()
        var number: Int32 = -1
        do {
            let (waiting, descriptor) = try file()
            number = descriptor
            let call = try bench.serving.submit(
                request, model: nil, identity: identity, files: [waiting], listener: held)
            #expect(isOpen(number), "it waits for the worker")
            bench.serving.cancel(call)
        }
        #expect(!isOpen(number))
    }

    @Test("a pause is told again when a call begins, and never about a call without a session")
    func pause() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let session = try open(bench, listener)
        let call = try submit(bench, session, generate(session, keeps: false), listener)
        let number = try id(bench)
        bench.serving.pause(call)
        bench.worker.onEvents([(number, accepted)])
        #expect(bench.worker.sent.suffix(2).allSatisfy { $0.request == .pause && $0.id == number })
        bench.worker.onEvents([(number, .choiceFinished(choice: 0, reason: .paused)), (number, finish)])
        #expect(session.state == SessionState(positions: 2, isPaused: true))
        let count = bench.worker.sent.count
        let plain = try bench.submit(listener)
        bench.serving.pause(plain)
        #expect(bench.worker.sent.count == count + 1)
    }
}
