import EngineProtocol

/// Which of the four ends of a link this side is: that decides what it may get.
enum LinkRole: Sendable {
    case gateway
    case worker
    /// A local client, and the server that it talks to: both have checked each other before the first message.
    case client
    case server

    /// Those of one build greet each other with it.
    var greeting: Hello.Role? {
        switch self {
        case .gateway: .gateway
        case .worker: .worker
        case .client, .server: nil
        }
    }

    func mayReceive(_ message: Message) -> Bool {
        switch (message, self) {
        case (.request, .worker), (.events, .gateway): true
        case (.localCall, .server), (.request(.cancel, _), .server), (.window, .server), (.listModels, .server): true
        case (.events, .client), (.models, .client): true
        case (.ping, .server), (.ping, .client), (.pong, .server), (.pong, .client): true
        default: false
        }
    }
}

/// Joins messages with their descriptors, and checks that each is one that this side may get now.
struct LinkReceiver {
    private var framer: LinkFramer
    /// The message of a record, until somebody takes it.
    private var record: LinkFramer.Frame?
    private var descriptors: [LinkDescriptor] = []
    private var sawHello: Bool
    private let role: LinkRole
    private let isStream: Bool
    private let buildID: UInt64
    private let limits: LinkLimits

    /// - Parameter role: of this side.
    init(role: LinkRole, isStream: Bool, buildID: UInt64, limits: LinkLimits) {
        self.role = role
        self.isStream = isStream
        self.buildID = buildID
        self.limits = limits
        sawHello = role.greeting == nil
        framer = LinkFramer(limits: limits)
    }

    // MARK: From a stream

    mutating func fill<Value>(_ receive: (UnsafeMutableRawBufferPointer) -> (count: Int, Value)) -> Value {
        framer.fill(receive)
    }

    // MARK: From a ring

    /// Whether a file of a worker's model may come, which is sealed by nobody; those of payloads are.
    var takesUnsealedFiles: Bool { role == .worker }

    /// Takes a record that `next` returns then.
    ///
    /// - Parameter header: what it begins with.
    mutating func take(_ header: MessageHeader, of bytes: UnsafeRawBufferPointer) throws(LinkViolation) {
        guard let (frame, size) = try LinkFramer.frame(of: header, in: bytes, limits: limits), size == bytes.count
        else {
            throw .notOneMessage(bytes: bytes.count)
        }
        record = frame
    }

    // MARK: From either

    mutating func add(_ received: [LinkDescriptor]) throws(LinkViolation) {
        guard descriptors.count + received.count <= limits.incomingDescriptors else {
            throw .tooManyDescriptors(limit: limits.incomingDescriptors)
        }
        descriptors += received
    }

    /// The next message after the greeting, with its descriptors; nil when more bytes are needed.
    mutating func next() throws(LinkViolation) -> (Message, [LinkDescriptor])? {
        while let frame = try nextFrame() {
            let message = try message(of: frame)
            if case .hello(let hello) = message {
                try check(hello)
                continue
            }
            guard sawHello else { throw .missingHello }
            guard role.mayReceive(message) else { throw .wrongDirection }
            guard case .request(let request, _) = message else { return (message, []) }
            return (message, try take(request.descriptorCount))
        }
        // In a stream they travel with the first byte of their message, so between two messages there are none.
        if isStream && framer.isEmpty && !descriptors.isEmpty {
            throw .unexpectedDescriptors(count: descriptors.count)
        }
        return nil
    }

    private mutating func nextFrame() throws(LinkViolation) -> LinkFramer.Frame? {
        if let frame = record {
            record = nil
            return frame
        }
        if let frame = try framer.next() { return frame }
        return nil
    }

    private mutating func message(of frame: LinkFramer.Frame) throws(LinkViolation) -> Message {
        switch frame {
        case .message(let message): return message
        case .external(let header, let length):
            guard let file = try take(1).first else { throw .missingDescriptor }
            let payload = try file.payload(count: length)
            let decoded = header.withUnsafeBytes { header in
                payload.withUnsafeBytes { payload in
                    Result { () throws(CodecError) in try MessageCodec.decode(header: header, payload: payload) }
                }
            }
            switch decoded {
            case .success(let message): return message
            case .failure(let error): throw .codec(error)
            }
        }
    }

    private mutating func check(_ hello: Hello) throws(LinkViolation) {
        if sawHello { throw .repeatedHello }
        guard hello.buildID == buildID else { throw .differentBuild(ours: buildID, theirs: hello.buildID) }
        guard hello.role != role.greeting else { throw .sameRole }
        sawHello = true
    }

    private mutating func take(_ count: Int) throws(LinkViolation) -> [LinkDescriptor] {
        guard descriptors.count >= count else { throw .missingDescriptor }
        defer { descriptors.removeFirst(count) }
        return [LinkDescriptor](descriptors.prefix(count))
    }
}
