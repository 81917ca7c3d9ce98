import Glibc
public import Platform

/// A client that wants to connect: what a server decides by.
public struct Applicant: Sendable {
    public let credentials: PeerCredentials
    /// What the client sent; empty without a token.
    public let token: [UInt8]
    public let usesSharedMemory: Bool
}

/// The server's side of the handshake, for one accepted socket on an event loop.
///
/// It keeps itself alive until it is done: with a connection, with a refusal that it has sent, or when its time is over.
///
/// Threading: on the loop's thread only.
public final class ServerHandshake {
    public struct Options: Sendable {
        public var connectionID: UInt64
        public var generation: UInt64
        /// Calls that the server takes from the client at a time.
        public var calls = 256
        /// Bytes of the server's ring, at most.
        public var sendCapacity = SharedMemoryLimits.defaultCapacity
        /// Bytes of the client's ring, at most.
        public var receiveCapacity = SharedMemoryLimits.largestCapacity
        public var messageBytes = SharedMemoryLimits.messageBytes
        public var versions = HandshakeFrame.versions
        public var milliseconds = Int32(SharedMemoryLimits.handshakeMilliseconds)
        /// The user whose programs are taken, beside root.
        public var userID: UInt32 = geteuid()

        public init(connectionID: UInt64, generation: UInt64) {
            self.connectionID = connectionID
            self.generation = generation
        }
    }

    public typealias Completion = (consuming Result<Connection, HandshakeError>) -> Void
    /// Nil to welcome the client; a reason, with words for it, to refuse it.
    public typealias Authenticate = (Applicant) -> Refusal?

    private enum Phase {
        case hello
        case token(HandshakeFrame.Hello)
        case ready(HandshakeFrame.Welcome, own: OwnSegment, peer: PeerSegment)
    }

    private let loop: EventLoop
    private let options: Options
    private let authenticate: Authenticate
    private let completion: Completion
    private var socket: FileDescriptor?
    private var phase = Phase.hello
    private var received: [UInt8] = []
    private var descriptors = HandshakeDescriptors()
    private var watch: EventLoop.WatchID?
    private var timer: EventLoop.TimerID?

    /// Begins; `completion` is called later, once, unless the handshake is cancelled before.
    @discardableResult
    public init(
        loop: EventLoop, socket: consuming FileDescriptor, options: Options,
        authenticate: @escaping Authenticate, completion: @escaping Completion
    ) throws(SystemError) {
        self.loop = loop
        self.options = options
        self.authenticate = authenticate
        self.completion = completion
        let descriptor = socket.rawValue
        self.socket = consume socket
        watch = try loop.watch(descriptor, .readable) { _ in self.advance() }
        timer = loop.after(nanoseconds: UInt64(max(0, options.milliseconds)) * 1_000_000) {
            self.refuse(Refusal(.tooSlow), reporting: .timedOut(milliseconds: options.milliseconds))
        }
    }

    /// Ends the handshake without a word and without `completion`.
    public func cancel() { _ = stop() }

    /// Refuses a client before anything of it was read; never waits.
    public static func refuse(_ socket: consuming FileDescriptor, _ refusal: Refusal) {
        let bytes = refusal.encoded()
        // A fresh socket has room for it. If it had none, the client would only see the end.
        _ = try? Socket.send(socket.rawValue, bytes[...], descriptors: [])
    }

    // MARK: Reading

    private func advance() {
        do throws(Outcome) {
            while socket != nil, try receive() { try step() }
        } catch {
            switch error {
            case .failed(let reason): finish(.failure(reason))
            case .refused(let refusal): refuse(refusal, reporting: .refusedPeer(refusal))
            }
        }
    }

    private enum Outcome: Error {
        case failed(HandshakeError)
        case refused(Refusal)
    }

    /// Bytes that the present phase waits for.
    private var wanted: Int {
        if case .token(let hello) = phase { Int(hello.tokenBytes) } else { HandshakeFrame.size }
    }

    /// Whether all that the phase wants is there.
    private func receive() throws(Outcome) -> Bool {
        while received.count < wanted {
            let part: HandshakePart
            do throws(SystemError) {
                part = try HandshakePart(socket: socket?.rawValue ?? -1, count: wanted - received.count)
            } catch {
                switch error.code {
                case ECONNRESET: throw .failed(.closed)
                case EMSGSIZE: throw refused(.descriptorsCutOff)
                default: throw .failed(.system(error))
                }
            }
            received += part.bytes
            descriptors.add(part.descriptors)
            switch part.io {
            case .bytes: continue
            case .wouldBlock: return false
            case .endOfStream: throw .failed(.closed)
            }
        }
        return true
    }

    private func step() throws(Outcome) {
        switch phase {
        case .hello: try readHello()
        case .token(let hello): try decide(hello, token: take())
        case .ready(let welcome, let own, let peer): try readReady(welcome, own, peer)
        }
    }

    private func take() -> [UInt8] {
        defer { received = [] }
        return received
    }

    private func readHello() throws(Outcome) {
        guard case .hello(let hello) = try decode(take()) else {
            throw refused(.malformedFrame, "the first frame is no hello")
        }
        guard hello.versions.overlaps(options.versions) else {
            throw refused(
                .version, "the client speaks versions \(hello.versions.lowerBound) to \(hello.versions.upperBound)")
        }
        phase = .token(hello)
    }

    private func readReady(_ welcome: HandshakeFrame.Welcome, _ own: OwnSegment, _ peer: PeerSegment) throws(Outcome) {
        guard case .ready(welcome.connectionID) = try decode(take()) else {
            throw refused(.malformedFrame, "the second frame is not ready for this connection")
        }
        guard descriptors.all.isEmpty else { throw refused(.descriptors(expected: 0, value: descriptors.all.count)) }
        guard let socket = stop() else { return }
        let channel = RingChannel(own: own, peer: peer, socket: socket)
        complete(welcome, .rings(Rings(channel: channel)))
    }

    private func decode(_ bytes: [UInt8]) throws(Outcome) -> HandshakeFrame {
        do throws(FrameFault) {
            return try HandshakeFrame(decoding: bytes)
        } catch {
            throw refused(.malformedFrame, "\(error)")
        }
    }

    // MARK: Deciding

    private func decide(_ hello: HandshakeFrame.Hello, token: [UInt8]) throws(Outcome) {
        let usesSharedMemory = hello.features.contains(.sharedMemory)
        try checkApplicant(token: token, usesSharedMemory: usesSharedMemory)
        var welcome = HandshakeFrame.Welcome(
            version: min(hello.versions.upperBound, options.versions.upperBound),
            features: hello.features.intersection(.known),
            messageBytes: min(hello.messageBytes, UInt32(clamping: options.messageBytes)),
            calls: UInt32(clamping: max(1, options.calls)), connectionID: options.connectionID,
            generation: options.generation)
        guard usesSharedMemory else {
            guard descriptors.all.isEmpty else {
                throw refused(.descriptors(expected: 0, value: descriptors.all.count))
            }
            try send(welcome, descriptors: [])
            guard let socket = stop() else { return }
            return complete(welcome, .stream(socket))
        }
        let peer = try peerSegment(hello)
        welcome.clientCapacity = hello.clientCapacity
        welcome.serverCapacity = min(hello.serverCapacity, UInt32(clamping: options.sendCapacity))
        let own: OwnSegmentFile
        do throws(SystemError) {
            own = try OwnSegmentFile(
                role: .server, capacity: Int(welcome.serverCapacity), connectionID: options.connectionID,
                generation: options.generation)
        } catch {
            throw refused(.resources, error.reason)
        }
        try send(welcome, descriptors: [own.file.rawValue])
        phase = .ready(welcome, own: own.segment, peer: peer)
    }

    private func checkApplicant(token: [UInt8], usesSharedMemory: Bool) throws(Outcome) {
        let credentials: PeerCredentials
        do throws(SystemError) { credentials = try PeerCredentials(of: socket?.rawValue ?? -1) } catch {
            throw .failed(.system(error))
        }
        guard credentials.isUser(options.userID) else {
            throw refused(.user, "user \(credentials.userID) is not user \(options.userID)")
        }
        let applicant = Applicant(credentials: credentials, token: token, usesSharedMemory: usesSharedMemory)
        if let refusal = authenticate(applicant) { throw .refused(refusal) }
    }

    private func peerSegment(_ hello: HandshakeFrame.Hello) throws(Outcome) -> PeerSegment {
        guard hello.clientCapacity <= options.receiveCapacity else {
            throw refused(
                .badSegment, "a ring of \(hello.clientCapacity) bytes, the limit is \(options.receiveCapacity)")
        }
        do throws(SegmentFault) {
            return try PeerSegment(
                descriptor: try descriptors.single(), role: .client, capacity: Int(hello.clientCapacity))
        } catch {
            throw refused(error)
        }
    }

    private func refused(_ reason: RefusalReason, _ text: String) -> Outcome {
        .refused(Refusal(reason, text: text, versions: options.versions))
    }

    private func refused(_ fault: SegmentFault) -> Outcome {
        if case .system(let error) = fault { return refused(.resources, error.reason) }
        return refused(.badSegment, fault.description)
    }

    // MARK: Ending

    private func send(_ welcome: HandshakeFrame.Welcome, descriptors: [Int32]) throws(Outcome) {
        let bytes = HandshakeFrame.welcome(welcome).encoded()
        let socket = socket?.rawValue ?? -1
        let result = Result { () throws(SystemError) in
            try Socket.send(socket, bytes[...], descriptors: descriptors)
        }
        switch result {
        case .success(.bytes(bytes.count)): return
        case .success(.endOfStream): throw .failed(.closed)
        case .success: throw .failed(.system(SystemError(operation: "welcome a client", code: EAGAIN)))
        case .failure(let error): throw .failed(.system(error))
        }
    }

    private func refuse(_ refusal: Refusal, reporting reason: HandshakeError) {
        guard let socket = stop() else { return }
        Self.refuse(socket, refusal)
        completion(.failure(reason))
    }

    private func finish(_ outcome: consuming Result<Connection, HandshakeError>) {
        guard stop() != nil else { return }
        completion(outcome)
    }

    private func complete(_ welcome: HandshakeFrame.Welcome, _ transport: consuming Transport) {
        completion(.success(Connection(agreement: Agreement(welcome), transport: transport)))
    }

    /// Takes the socket away from the loop; nil if this has been done already.
    private func stop() -> FileDescriptor? {
        if let watch { loop.unwatch(watch) }
        if let timer { loop.cancel(timer) }
        watch = nil
        timer = nil
        return socket.take()
    }
}
