// The structures of what only local clients and the server say to each other, field by field. Reader and writer stand
// side by side; the order of the lines is the order of the bytes.

extension PayloadWriter {
    /// Bytes of the fixed part of a call; the request's own structure is a range of it.
    static let localCallSize = 28

    mutating func localCall(_ call: LocalCall, type: MessageType, requestSize: Int) {
        text("model", call.model, limit: EngineProtocolLimits.nameBytes)
        text("requestID", call.requestID, limit: EngineProtocolLimits.requestIDBytes)
        flag(call.resumes)
        zeros(1)
        integer(type.rawValue)
        structure("request", size: requestSize) { $0.request(call.request) }
    }

    mutating func localModels(_ models: [LocalModel]) {
        list("models", models, elementSize: 20, limit: EngineProtocolLimits.models) { writer, model in
            writer.text("name", model.name, limit: EngineProtocolLimits.nameBytes)
            writer.text("state", model.state, limit: EngineProtocolLimits.nameBytes)
            writer.integer(model.contextLength)
        }
    }
}

extension PayloadReader {
    mutating func localCall(
        _ read: (MessageType, inout PayloadReader) throws(CodecError) -> EngineRequest
    ) throws(CodecError) -> LocalCall {
        let model = try text("model", limit: EngineProtocolLimits.nameBytes)
        let requestID = try requestID()
        let resumes = try flag("resumes")
        try zeros("resumes", 1)
        let type: MessageType = try choice("type")
        return LocalCall(model: model, requestID: requestID, resumes: resumes, request: try read(type, &self))
    }

    /// It is written into log lines.
    private mutating func requestID() throws(CodecError) -> String {
        let bytes = try required("requestID", elementSize: 1, limit: EngineProtocolLimits.requestIDBytes)
        for byte in bytes where !Self.isOfRequestID(byte) { throw .invalidText(field: "requestID") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isOfRequestID(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    mutating func localModels() throws(CodecError) -> [LocalModel] {
        try list("models", elementSize: 20, limit: EngineProtocolLimits.models) {
            reader throws(CodecError) in
            LocalModel(
                name: try reader.text("name", limit: EngineProtocolLimits.nameBytes),
                state: try reader.text("state", limit: EngineProtocolLimits.nameBytes),
                contextLength: try reader.integer("contextLength"))
        }
    }
}
