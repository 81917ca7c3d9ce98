import EngineProtocol

/// Joins messages with their descriptors, and checks that each is one that this side may get now.
struct LinkReceiver {
    private var framer: LinkFramer
    private var descriptors: [LinkDescriptor] = []
    private var sawHello = false
    private let role: Hello.Role
    private let buildID: UInt64
    private let limits: LinkLimits

    /// - Parameter role: of this side.
    init(role: Hello.Role, buildID: UInt64, limits: LinkLimits) {
        self.role = role
        self.buildID = buildID
        self.limits = limits
        framer = LinkFramer(limits: limits)
    }

    mutating func fill<Value>(_ receive: (UnsafeMutableRawBufferPointer) -> (count: Int, Value)) -> Value {
        framer.fill(receive)
    }

    mutating func add(_ received: [LinkDescriptor]) throws(LinkViolation) {
        guard descriptors.count + received.count <= limits.incomingDescriptors else {
            throw .tooManyDescriptors(limit: limits.incomingDescriptors)
        }
        descriptors += received
    }

    /// The next request or batch of events, with the request's descriptors; nil when more bytes are needed.
    mutating func next() throws(LinkViolation) -> (Message, [LinkDescriptor])? {
        while let frame = try framer.next() {
            let message = try message(of: frame)
            if case .hello(let hello) = message {
                try check(hello)
                continue
            }
            guard sawHello else { throw .missingHello }
            switch (message, role) {
            case (.request(.load(let load), _), .worker): return (message, try take(load.descriptorCount))
            case (.request, .worker), (.events, .gateway): return (message, [])
            default: throw .wrongDirection
            }
        }
        // Descriptors travel with the first byte of their message, so between two messages there are none.
        if framer.isEmpty && !descriptors.isEmpty { throw .unexpectedDescriptors(count: descriptors.count) }
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
        guard hello.role != role else { throw .sameRole }
        sawHello = true
    }

    private mutating func take(_ count: Int) throws(LinkViolation) -> [LinkDescriptor] {
        guard descriptors.count >= count else { throw .missingDescriptor }
        defer { descriptors.removeFirst(count) }
        return [LinkDescriptor](descriptors.prefix(count))
    }
}
