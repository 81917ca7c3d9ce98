import EngineProtocol
import JSON
import Observability
import Platform
import Serving

/// One client: reads its messages, answers them, and knows its handles and runs.
///
/// It has no socket. What it has to say gathers in `output`; whoever owns it is told and takes it away.
final class RPCSession {
    let service: RPCService
    private(set) var output: [UInt8] = []
    /// Called when there is output after there was none.
    var onOutput: () -> Void = {}
    /// Output that was taken away and has not left yet.
    var waitingBytes: () -> Int = { 0 }
    /// Nothing more is read: what is in the output is the last that the client gets.
    private(set) var isEnding = false
    /// When the oldest part of a stream in the output was written.
    private(set) var streamedSince: UInt64?

    var options = RPCOptions()
    /// Nil until a client that needs a key has shown one.
    private(set) var tenant: String?
    private(set) var administrator: String?
    private var key: String?
    /// Which of the service's settings the tenant was found with.
    private var settingsSeen: Int
    private var wrongKeys = 0
    private var rate: RateLimiter
    /// Refusals of what came too fast, beyond which nobody listens any more.
    private var refusals: RateLimiter

    private var handles: [String: RKLLMHandle] = [:]
    private var defaultHandle: RKLLMHandle?
    /// Whether calls without a handle mean the only model.
    private var hasImplicitHandle = true
    private(set) var runs: [RPCID: RPCRun] = [:]
    /// Requests whose answers have to come from a model.
    private var waits: [ObjectIdentifier: any PendingWork] = [:]

    init(service: RPCService) {
        self.service = service
        let perSecond = service.limits.requestsPerSecond
        rate = RateLimiter(perSecond: Double(perSecond), burst: perSecond * 2)
        refusals = RateLimiter(perSecond: Double(perSecond), burst: service.limits.refusedRequests)
        settingsSeen = service.settingsCount
        tenant = service.settings.tenantOfKey == nil ? "" : nil
    }

    /// Whether runs may write more now.
    var takesMore: Bool { output.count + waitingBytes() < service.limits.pendingOutputBytes }

    func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// Everything that was written has left.
    func outputLeft() {
        if let streamedSince { service.metrics.streamed(since: streamedSince) }
        streamedSince = nil
    }

    /// There is room again.
    func outputDrained() {
        for run in Array(runs.values) { run.outputDrained() }
    }

    /// The client is gone: its runs are cancelled, its handles forgotten.
    func end() {
        isEnding = true
        onOutput = {}
        if !runs.isEmpty { service.metrics.generations.countDisconnect() }
        for run in Array(runs.values) { run.abandon() }
        for wait in waits.values { wait.abandon() }
        waits = [:]
        for handle in handles.values { handle.end(in: service) }
        handles = [:]
        defaultHandle = nil
        output = []
    }
}

// MARK: - Messages

extension RPCSession {
    func receive(_ line: LineFramer.Line) {
        guard !isEnding else { return }
        switch line {
        case .message(let bytes): receive(RPCMessage(line: bytes, limits: service.limits))
        case .tooLong:
            let limit = service.limits.messageBytes
            refuse(.invalidRequest("a message has more than \(limit) bytes").with("limit", limit))
        }
    }

    /// Tells why nothing more is read.
    func refuse(_ error: RPCError) {
        service.countRequest(method: "other", outcome: error.data["type"]?.stringValue ?? "error")
        write(RPCResponse.error(.null, error))
        isEnding = true
    }

    private func receive(_ message: RPCMessage) {
        switch message {
        case .single(let element): handle(element, isInBatch: false) { [weak self] in self?.write($0) }
        case .batch(let elements):
            let expected = elements.count { element in
                if case .success(let request) = element { request.id != nil } else { true }
            }
            let batch = BatchReply(expected: expected) { [weak self] in self?.write($0) }
            for element in elements { handle(element, isInBatch: true) { batch.add($0) } }
        }
    }

    private func handle(_ element: RPCMessage.Element, isInBatch: Bool, deliver: @escaping ([UInt8]) -> Void) {
        let now = MonotonicClock.now()
        let isTooFast = !rate.allow(now: now)
        defer { if isTooFast, !refusals.allow(now: now) { isEnding = true } }
        switch element {
        case .success(let request):
            let method = RPCMethod.byName[request.method]
            let slot = ReplySlot(id: request.id, isInBatch: isInBatch, deliver: deliver) { [service] outcome in
                service.countRequest(method: method?.name ?? "other", outcome: outcome)
            }
            do throws(RPCError) {
                if isTooFast { throw tooFast }
                try answer(request, method, slot)
            } catch {
                slot.fail(error)
            }
        case .failure(let malformed):
            let error = isTooFast ? tooFast : malformed.error
            service.countRequest(method: "other", outcome: error.data["type"]?.stringValue ?? "error")
            deliver(RPCResponse.error(malformed.id, error))
        }
    }

    private func answer(_ request: RPCRequest, _ method: RPCMethod?, _ slot: ReplySlot) throws(RPCError) {
        guard let method else { throw .methodNotFound(request.method) }
        recheckKey()
        guard tenant != nil || method.isOpen else {
            throw RPCError(.unauthorized, type: "unauthorized", "an API key is needed: rpc.authenticate {\"key\": KEY}")
        }
        let fields = try method.read(request.parameters)
        try method.body(self, RPCInvocation(fields: fields, slot: slot))
    }

    private var tooFast: RPCError {
        let limit = service.limits.requestsPerSecond
        return RPCError(.limit, type: "rate_limited", "a connection may send \(limit) requests per second")
            .with("limit", limit).with("retry_after_ms", max(1, 1000 / limit))
    }

    private func write(_ message: [UInt8]) {
        let wasEmpty = output.isEmpty
        output += message
        output.append(UInt8(ascii: "\n"))
        if wasEmpty { onOutput() }
    }

    /// Lets a run append whole lines.
    func writeStream(_ append: (inout [UInt8]) -> Void) {
        let wasEmpty = output.isEmpty
        streamedSince = streamedSince ?? MonotonicClock.now()
        append(&output)
        if wasEmpty, !output.isEmpty { onOutput() }
    }
}

// MARK: - Who it is

extension RPCSession {
    /// - Returns: whether it is an administrator.
    func authenticate(_ key: String) throws(RPCError) -> Bool {
        let settings = service.settings
        let known = settings.tenantOfKey?(key)
        let administrator = settings.administratorOfKey?(key)
        guard known != nil || administrator != nil else {
            wrongKeys += 1
            if wrongKeys >= service.limits.authenticationAttempts { isEnding = true }
            throw RPCError(.unauthorized, type: "unauthorized", "the key is not known")
        }
        // Where clients need keys, an administrator's is not one of theirs.
        if let known { (tenant, self.key) = (known, key) }
        self.administrator = administrator ?? self.administrator
        return self.administrator != nil
    }

    /// After the server has read its settings again, a key may be gone, or needed.
    private func recheckKey() {
        guard settingsSeen != service.settingsCount else { return }
        settingsSeen = service.settingsCount
        administrator = nil
        guard let tenantOfKey = service.settings.tenantOfKey else { return tenant = "" }
        tenant = key.flatMap(tenantOfKey)
    }
}

// MARK: - Handles

extension RPCSession {
    var handleCount: Int { handles.count }

    func add(_ handle: RKLLMHandle) {
        // The ancestor has one handle, which another init replaces.
        if options.compatibility == .nano, let old = defaultHandle { remove(old) }
        handles[handle.id] = handle
        defaultHandle = handle
        hasImplicitHandle = false
    }

    /// The handle that a call names; without one, the last that was opened, or else the only model's.
    func handle(_ fields: ShapedObject) throws(RPCError) -> RKLLMHandle {
        if let id = fields.text("handle") {
            guard let handle = handles[id] else {
                throw RPCError(
                    .notInitialised, type: "no_such_handle",
                    "there is no handle '\(id.prefix(64))' on this connection; rkllm.init opens one")
            }
            return handle
        }
        if let defaultHandle { return defaultHandle }
        guard hasImplicitHandle else {
            throw RPCError(.notInitialised, type: "not_initialised", "no handle is open; rkllm.init opens one")
        }
        let handle = RKLLMHandle(id: "default", model: try onlyModel(), settings: .standard)
        handles[handle.id] = handle
        defaultHandle = handle
        return handle
    }

    func onlyModel() throws(RPCError) -> String {
        let names = service.serving.modelNames
        guard names.count == 1 else {
            throw RPCError(
                .notInitialised, type: "not_initialised",
                "\(names.count) models are served; rkllm.init opens one of \(names.joined(separator: ", "))")
        }
        return names[0]
    }

    func remove(_ handle: RKLLMHandle) {
        abortRuns(of: handle)
        handle.end(in: service)
        handles[handle.id] = nil
        guard handle === defaultHandle else { return }
        defaultHandle = nil
        hasImplicitHandle = false
    }

    /// What a handle keeps between runs, from now on if it did not before.
    func history(of handle: RKLLMHandle) throws(RPCError) -> HandleHistory {
        if let history = handle.history { return history }
        let (limit, count) = (service.limits.sessions, handles.values.count { $0.history != nil })
        guard count < limit else {
            throw .limit("handles of one connection that keep something", limit: limit, value: count + 1)
        }
        let history = HandleHistory(service: service, model: handle.model, tenant: tenant ?? "")
        handle.history = history
        return history
    }

    func runs(of handle: RKLLMHandle) -> [RPCRun] { runs.values.filter { $0.handle === handle } }

    func abortRuns(of handle: RKLLMHandle) {
        for run in runs(of: handle) { run.abort() }
    }
}

// MARK: - Runs

extension RPCSession {
    func start(_ run: RPCRun) throws(RPCError) {
        runs[run.id] = run
        service.runBegan()
        do throws(EngineError) {
            try run.start()
        } catch {
            runs[run.id] = nil
            service.runEnded()
            throw RPCError(error)
        }
    }

    func runEnded(_ run: RPCRun) {
        guard runs[run.id] === run else { return }
        runs[run.id] = nil
        service.runEnded()
    }

    func add(_ wait: any PendingWork) { waits[ObjectIdentifier(wait)] = wait }

    func remove(_ wait: any PendingWork) { waits[ObjectIdentifier(wait)] = nil }
}
