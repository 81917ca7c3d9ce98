/// One message of a link.
public enum Message: Sendable {
    case hello(Hello)
    case request(EngineRequest, call: CallID)
    /// What one step of the worker made, for any number of calls.
    case events([(CallID, EngineEvent)])
}

/// The only place that knows the bytes of a message; `RequestCoding` and `EventCoding` hold the structures.
public enum MessageCodec {
    /// Appends a message: header and payload.
    ///
    /// - Throws: `CodecError` when a value breaks a limit; `bytes` is then as it was.
    public static func encode(
        _ message: Message, payloadChecksum: Bool = false, into bytes: inout [UInt8]
    ) throws(CodecError) {
        let start = bytes.count
        var buffer: [UInt8] = []
        swap(&buffer, &bytes)  // so that the writer holds the only reference
        buffer.append(contentsOf: repeatElement(0, count: MessageHeader.size))
        let (type, id, writer) = payload(of: message, after: buffer)
        buffer = []
        bytes = writer.bytes
        if let failure = writer.failure {
            bytes.removeSubrange(start...)
            throw failure
        }
        let flags: MessageFlags = payloadChecksum ? [.payloadChecksum] : []
        seal(&bytes, from: start, type: type, flags: flags, messageID: id)
    }

    /// Turns an encoded message into the header of one whose payload travels as a memory file.
    ///
    /// - Parameter message: exactly one encoded message.
    /// - Returns: the header to send; the payload is everything after the header in `message`.
    public static func externalHeader(for message: [UInt8]) throws(CodecError) -> [UInt8] {
        let header = try message.withUnsafeBytes { bytes in
            Result { () throws(CodecError) in try MessageHeader(decoding: bytes) }
        }.get()
        var copy = [UInt8](message[0..<MessageHeader.size])
        message.withUnsafeBytes { bytes in
            copy.withUnsafeMutableBytes { target in
                MessageHeader.write(
                    type: header.type, flags: header.flags.union(.externalPayload), messageID: header.messageID,
                    payload: UnsafeRawBufferPointer(rebasing: bytes[MessageHeader.size...]), over: target)
            }
        }
        return copy
    }

    /// Decodes one whole message.
    ///
    /// - Parameters:
    ///   - header: the message's first 24 bytes.
    ///   - payload: as many bytes as the header says, from the stream or from a memory file.
    public static func decode(
        header bytes: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
    ) throws(CodecError) -> Message {
        let header = try MessageHeader(decoding: bytes)
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
        of message: Message, after bytes: consuming [UInt8]
    ) -> (MessageType, UInt64, PayloadWriter) {
        let type = type(of: message)
        var writer = PayloadWriter(appendingTo: bytes, size: fixedSize(of: type))
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
        }
    }

    private static func type(of message: Message) -> MessageType {
        switch message {
        case .hello: .hello
        case .request(.load, _): .load
        case .request(.inspect, _): .inspect
        case .request(.generate, _): .generate
        case .request(.score, _): .score
        case .request(.tokenize, _): .tokenize
        case .request(.detokenize, _): .detokenize
        case .request(.renderTemplate, _): .renderTemplate
        case .request(.cancel, _): .cancel
        case .request(.credit, _): .credit
        case .request(.embed, _): .embed
        case .events: .events
        }
    }

    /// Bytes of the fixed part of each message.
    private static func fixedSize(of type: MessageType) -> Int {
        switch type {
        case .hello: 12
        case .load: 48
        case .inspect, .cancel: 0
        case .generate: 200
        case .score: 16
        case .tokenize: 12
        case .detokenize: 8
        case .renderTemplate: PayloadWriter.chatInputSize
        case .credit: 4
        case .embed: 28
        case .events: 8
        }
    }

    private static func message(
        of type: MessageType, call: CallID, _ reader: inout PayloadReader
    ) throws(CodecError) -> Message {
        switch type {
        case .hello: .hello(try reader.hello())
        case .load: .request(.load(try reader.load()), call: call)
        case .inspect: .request(.inspect, call: call)
        case .generate: .request(.generate(try reader.generate()), call: call)
        case .score: .request(.score(try reader.score()), call: call)
        case .tokenize: .request(.tokenize(try reader.tokenize()), call: call)
        case .detokenize: .request(.detokenize(ids: try reader.tokenIDs("ids")), call: call)
        case .renderTemplate: .request(.renderTemplate(try reader.chatInput()), call: call)
        case .cancel: .request(.cancel, call: call)
        case .credit: .request(.credit(bytes: try reader.integer("credit")), call: call)
        case .embed: .request(.embed(try reader.embed()), call: call)
        case .events: .events(try reader.events())
        }
    }

    private static func seal(
        _ bytes: inout [UInt8], from start: Int, type: MessageType, flags: MessageFlags, messageID: UInt64
    ) {
        bytes.withUnsafeMutableBytes { all in
            let header = UnsafeMutableRawBufferPointer(rebasing: all[start..<start + MessageHeader.size])
            let payload = UnsafeRawBufferPointer(rebasing: all[(start + MessageHeader.size)...])
            MessageHeader.write(type: type, flags: flags, messageID: messageID, payload: payload, over: header)
        }
    }
}
