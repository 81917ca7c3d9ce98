import EngineProtocol
import JSON
import ModelFiles

extension LoadedModel {
    /// The model's metadata, tensors and capabilities as a JSON document.
    ///
    /// A capability that is missing says why, in the words that using it would give.
    public func inspect() -> String {
        var writer = JSONWriter()
        writer.beginObject()
        write("generate", into: &writer) { () throws(EngineError) in _ = try Self.readDecoder(file) }
        write("tokenize", into: &writer) { () throws(EngineError) in _ = try Self.readTokenizer(file) }
        write("chat", into: &writer) { () throws(EngineError) in
            switch Self.readTemplate(file) {
            case .usable: return
            case .absent: throw .unsupported(feature: "the file has no chat template")
            case .unusable(let reason): throw .unsupported(feature: "the chat template: \(reason)")
            }
        }
        writer.endObject()
        let capabilities = String(decoding: writer.bytes, as: UTF8.self)
        return "\(file.describeJSON().dropLast()),\"capabilities\":\(capabilities)}"
    }

    private func write(
        _ capability: StaticString, into writer: inout JSONWriter, attempt: () throws(EngineError) -> Void
    ) {
        writer.key(capability)
        writer.beginObject()
        writer.key("works")
        do throws(EngineError) {
            try attempt()
            writer.bool(true)
        } catch {
            writer.bool(false)
            writer.key("reason")
            writer.string(error.text)
        }
        writer.endObject()
    }
}
