import EngineProtocol
import Platform
import Serving

/// What a handle keeps between its runs: a session at its model, opened when it is first needed.
///
/// What is asked of it is done in the order in which it was asked, one after the other: a change waits for the run before
/// it, and a run for the change.
final class HandleHistory: CallListener {
    /// A run or a change, when it is its turn.
    struct Step {
        /// It makes no sense without what was kept before it.
        let needsHistory: Bool
        /// Sends it to the session's worker.
        let begin: (ServedSession) throws(EngineError) -> Void
        let fail: (RPCError) -> Void
    }

    private let service: RPCService
    private let model: String
    private let tenant: String
    private var session: ServedSession?
    private var opening: (session: ServedSession, call: ServedCall)?
    private var steps: [Step] = []
    private var isDue = false
    /// What was kept went with the model's process, and nobody has been told.
    private var isLost = false
    private var hasEnded = false
    /// All was forgotten but the system prompt of a chat, which the next one goes on after, whatever is in the cache.
    var keptSystemPrompt = false

    init(service: RPCService, model: String, tenant: String) {
        self.service = service
        self.model = model
        self.tenant = tenant
    }

    /// What it holds, as far as is known.
    var state: SessionState {
        guard let session, !session.isLost else { return SessionState() }
        return session.state
    }

    /// What waits for its turn.
    var stepCount: Int { steps.count }

    /// - Parameter goesFirst: before those that wait: it was begun already.
    func add(_ step: Step, goesFirst: Bool = false) {
        steps.insert(step, at: goesFirst ? 0 : steps.count)
        advanceSoon()
    }

    /// Its owner is gone.
    func end() {
        hasEnded = true
        steps = []
        if let opening {
            service.serving.cancel(opening.call)
            service.serving.close(opening.session)
        }
        if let session { service.serving.close(session) }
        (opening, session) = (nil, nil)
    }

    // MARK: Step by step

    /// Not at once: whoever asks is answered first.
    private func advanceSoon() {
        guard !isDue else { return }
        isDue = true
        service.loop.atEndOfTurn { [weak self] in
            self?.isDue = false
            self?.advance()
        }
    }

    private func advance() {
        forgetLostSession()
        while !hasEnded, !steps.isEmpty {
            guard let session else { return open() }
            guard !session.isBusy else { return }
            let step = steps.removeFirst()
            do throws(EngineError) { try step.begin(session) } catch { step.fail(RPCError(error)) }
        }
    }

    /// Those who count on what was kept are told; whatever begins anew goes on.
    private func forgetLostSession() {
        if let session, session.isLost {
            isLost = session.holdsSomething
            keptSystemPrompt = false
            service.serving.close(session)
            self.session = nil
        }
        guard isLost, !steps.isEmpty else { return }
        isLost = false
        while let step = steps.first, step.needsHistory {
            steps.removeFirst()
            step.fail(.historyLost)
        }
    }

    private func open() {
        guard opening == nil else { return }
        let name = PublicID.make(prefix: "session")
        do throws(EngineError) {
            let opening = try service.serving.openSession(
                model: model, identity: CallIdentity(publicID: name, requestID: name, tenant: tenant), listener: self)
            opening.0.onIdle = { [weak self] in self?.advance() }
            self.opening = opening
        } catch {
            failAll(error)
        }
    }

    func callHasEvents(_ call: ServedCall) {
        while let opening, call === opening.call, let event = call.next() {
            switch event {
            case .result:
                session = opening.session
                self.opening = nil
                advanceSoon()
            case .failed(let error):
                self.opening = nil
                service.serving.close(opening.session)
                failAll(error)
            case .accepted, .started, .tokens, .tensor, .choiceFinished, .finished, .statistics: break
            }
        }
    }

    private func failAll(_ error: EngineError) {
        let failed = steps
        steps = []
        for step in failed { step.fail(RPCError(error)) }
    }
}
