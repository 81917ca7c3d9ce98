/// One message of a link.
public enum Message: Sendable {
    case hello(Hello)
    case request(EngineRequest, call: CallID)
    /// What one step of the worker made, for any number of calls.
    case events([(CallID, EngineEvent)])
    // Between a local client and the server
    case localCall(LocalCall, call: CallID)
    case listModels(call: CallID)
    case models([LocalModel], call: CallID)
    /// The client has taken so many bytes of a call's events (`EngineEvent.size`), and takes as many more.
    case window(UInt32, call: CallID)
    case ping(UInt64)
    case pong(UInt64)
}

/// The only place that knows the bytes of a message; `RequestCoding` and `EventCoding` hold the structures.
public enum MessageCodec {
    /// Appends a message: header and payload.
    ///
    /// - Throws: `CodecError` when a value breaks a limit; the buffer is then as it was.
    public static func encode(
        _ message: Message, payloadChecksum: Bool = false, into buffer: MessageBuffer
    ) throws(CodecError) {
        let start = buffer.count
        buffer.appendZeros(MessageHeader.size)
        let (type, id, writer) = payload(of: message, after: buffer)
        if let failure = writer.failure {
            buffer.truncate(to: start)
            throw failure
        }
        let flags: MessageFlags = payloadChecksum ? [.payloadChecksum] : []
        seal(UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[start...]), type, flags, messageID: id)
    }

    /// Appends a message to an array.
    ///
    /// - Throws: `CodecError` when a value breaks a limit; `bytes` is then as it was.
    public static func encode(
        _ message: Message, payloadChecksum: Bool = false, into bytes: inout [UInt8]
    ) throws(CodecError) {
        let buffer = MessageBuffer()
        try encode(message, payloadChecksum: payloadChecksum, into: buffer)
        bytes.append(contentsOf: buffer.bytes)
    }

    /// Turns an encoded message into the header of one whose payload travels as a memory file.
    ///
    /// - Parameter message: exactly one encoded message.
    /// - Returns: the header to send; the payload is everything after the header in `message`.
    public static func externalHeader(for message: UnsafeRawBufferPointer) throws(CodecError) -> [UInt8] {
        let header = try MessageHeader(decoding: message)
        var copy = [UInt8](repeating: 0, count: MessageHeader.size)
        copy.withUnsafeMutableBytes { target in
            MessageHeader.write(
                type: header.type, flags: header.flags.union(.externalPayload), messageID: header.messageID,
                payload: UnsafeRawBufferPointer(rebasing: message[MessageHeader.size...]), over: target)
        }
        return copy
    }

    /// What goes into a ring for each descriptor of the message that follows.
    public static let attachmentHeader: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: MessageHeader.size)
        bytes.withUnsafeMutableBytes { seal($0, .attachment, [], messageID: 0) }
        return bytes
    }()

    /// Decodes one whole message.
    ///
    /// - Parameters:
    ///   - header: the message's first 24 bytes.
    ///   - payload: as many bytes as the header says, from the stream or from a memory file.
    public static func decode(
        header bytes: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
    ) throws(CodecError) -> Message {
        try decode(MessageHeader(decoding: bytes), of: bytes, payload: payload)
    }

    /// Decodes one whole message whose header has been read.
    ///
    /// - Parameters:
    ///   - header: what `bytes` say.
    ///   - bytes: the message's first 24 bytes.
    ///   - payload: as many bytes as the header says.
    public static func decode(
        _ header: MessageHeader, of bytes: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
    ) throws(CodecError) -> Message {
        try header.verify(header: bytes, payload: payload)
        if header.type == .hello || header.type == .events {
            guard header.messageID == 0 else { throw .unexpectedMessageID(header.messageID) }
        }
        let call = CallID(rawValue: header.messageID)
        var reader = try PayloadReader(payload, size: fixedSize(of: header.type))
        let message = try message(of: header.type, call: call, &reader)
        try reader.finish()
        return message
    }

    // MARK: The table of messages

    private static func payload(
        of message: Message, after buffer: MessageBuffer
    ) -> (MessageType, UInt64, PayloadWriter) {
        let type = type(of: message)
        var writer = PayloadWriter(appendingTo: buffer, size: fixedSize(of: type))
        switch message {
        case .hello(let hello):
            writer.hello(hello)
            return (type, 0, writer)
        case .request(let request, let call):
            writer.request(request)
            return (type, call.rawValue, writer)
        case .events(let events):
            writer.events(events)
            return (type, 0, writer)
        case .localCall(let local, let call):
            let type = Self.type(of: local.request)
            writer.localCall(local, type: type, requestSize: fixedSize(of: type))
            return (.localCall, call.rawValue, writer)
        case .models(let models, let call):
            writer.localModels(models)
            return (type, call.rawValue, writer)
        case .listModels(let call): return (type, call.rawValue, writer)
        case .window(let bytes, let call):
            writer.integer(bytes)
            return (type, call.rawValue, writer)
        case .ping(let number), .pong(let number): return (type, number, writer)
        }
    }

    private static func type(of message: Message) -> MessageType {
        switch message {
        case .hello: .hello
        case .request(let request, _): type(of: request)
        case .events: .events
        case .localCall: .localCall
        case .listModels: .listModels
        case .models: .models
        case .window: .window
        case .ping: .ping
        case .pong: .pong
        }
    }

    private static func type(of request: EngineRequest) -> MessageType {
        switch request {
        case .load: .load
        case .inspect: .inspect
        case .generate: .generate
        case .score: .score
        case .tokenize: .tokenize
        case .detokenize: .detokenize
        case .renderTemplate: .renderTemplate
        case .cancel: .cancel
        case .credit: .credit
        case .embed: .embed
        case .pause: .pause
        case .openSession: .openSession
        case .changeSession: .changeSession
        case .closeSession: .closeSession
        case .loadAdapter: .loadAdapter
        case .unloadAdapter: .unloadAdapter
        }
    }

    /// Bytes of the fixed part of each message.
    private static func fixedSize(of type: MessageType) -> Int {
        switch type {
        case .hello: 12
        case .window: 4
        case .load: 56
        case .inspect, .cancel, .pause, .listModels, .ping, .pong, .attachment: 0
        case .generate: 224
        case .credit: 4
        case .embed: 28
        case .openSession, .closeSession, .unloadAdapter: 8
        case .changeSession: PayloadWriter.sessionChangeSize
        case .loadAdapter: 12
        case .score: 16
        case .tokenize: 12
        case .detokenize: 8
        case .renderTemplate: PayloadWriter.chatInputSize
        case .events, .models: 8
        case .localCall: PayloadWriter.localCallSize
        }
    }

    private static func message(
        of type: MessageType, call: CallID, _ reader: inout PayloadReader
    ) throws(CodecError) -> Message {
        switch type {
        case .hello: .hello(try reader.hello())
        case .attachment: throw .unknownMessageType(type.rawValue)
        case .events: .events(try reader.events())
        case .localCall:
            .localCall(
                try reader.localCall { type, reader throws(CodecError) in
                    try reader.structure("request", size: fixedSize(of: type)) { reader throws(CodecError) in
                        try request(of: type, &reader)
                    }
                }, call: call)
        case .listModels: .listModels(call: call)
        case .models: .models(try reader.localModels(), call: call)
        case .window: .window(try reader.integer("bytes"), call: call)
        case .ping: .ping(call.rawValue)
        case .pong: .pong(call.rawValue)
        case .load, .inspect, .generate, .score, .tokenize, .detokenize, .renderTemplate, .cancel, .credit, .embed,
            .pause, .openSession, .changeSession, .closeSession, .loadAdapter, .unloadAdapter:
            .request(try request(of: type, &reader), call: call)
        }
    }

    private static func request(
        of type: MessageType, _ reader: inout PayloadReader
    ) throws(CodecError) -> EngineRequest {
        switch type {
        case .load: .load(try reader.load())
        case .inspect: .inspect
        case .generate: .generate(try reader.generate())
        case .score: .score(try reader.score())
        case .tokenize: .tokenize(try reader.tokenize())
        case .detokenize: .detokenize(ids: try reader.tokenIDs("ids"))
        case .renderTemplate: .renderTemplate(try reader.chatInput())
        case .cancel: .cancel
        case .credit: .credit(bytes: try reader.integer("credit"))
        case .embed: .embed(try reader.embed())
        case .pause: .pause
        case .openSession: .openSession(try reader.session())
        case .changeSession: try changeSession(&reader)
        case .closeSession: .closeSession(try reader.session())
        case .loadAdapter: .loadAdapter(try reader.adapter())
        case .unloadAdapter: .unloadAdapter(name: try reader.text("name", limit: EngineProtocolLimits.nameBytes))
        case .hello, .attachment, .events, .localCall, .listModels, .models, .window, .ping, .pong:
            throw .unknownValue(field: "type", value: UInt64(type.rawValue))
        }
    }

    private static func changeSession(_ reader: inout PayloadReader) throws(CodecError) -> EngineRequest {
        let (session, change) = try reader.sessionChange()
        return .changeSession(session, change)
    }

    /// Writes the header over the first bytes of a message.
    private static func seal(
        _ message: UnsafeMutableRawBufferPointer, _ type: MessageType, _ flags: MessageFlags, messageID: UInt64
    ) {
        let header = UnsafeMutableRawBufferPointer(rebasing: message[..<MessageHeader.size])
        let payload = UnsafeRawBufferPointer(rebasing: message[MessageHeader.size...])
        MessageHeader.write(type: type, flags: flags, messageID: messageID, payload: payload, over: header)
    }
}
