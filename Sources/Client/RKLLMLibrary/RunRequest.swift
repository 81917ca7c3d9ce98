import EngineProtocol

/// One run, copied from what the caller handed over.
public struct RunRequest: Sendable {
    public enum Mode: UInt32, Sendable {
        case generate = 0
        case hiddenStates = 1
        case logits = 2
    }

    public var inputs: [RunInput]
    public var mode = Mode.generate
    public var keepsHistory = false
    /// Nil is the model's.
    public var sampling: SamplingChoice?
    /// 0 and less are the model's.
    public var maximumTokens: Int32 = 0
    /// Where the prompt's part of the cache is written to; nil: nowhere.
    public var promptCachePath: String?
    public var userdata: UserData

    public init(inputs: [RunInput], userdata: UnsafeMutableRawPointer?) {
        self.inputs = inputs
        self.userdata = UserData(pointer: userdata)
    }

    /// What a run without a path writes its prompt cache to.
    private static let defaultCachePath = "./prompt_cache.bin"

    /// Takes `mode` and the members behind two of the pointers of `RKLLMInferParam`.
    public mutating func take(
        mode: UInt32, adapter: UnsafePointer<CChar>?, savesCache: Bool, cachePath: UnsafePointer<CChar>?
    ) throws(Refusal) {
        guard let known = Mode(rawValue: mode) else { throw Refusal("mode is \(mode); allowed is 0 to 2") }
        self.mode = known
        if let adapter, adapter.pointee != 0 { throw .unsupported("LoRA adapters (lora_params)") }
        guard savesCache else { return }
        let path = try cachePath.map { path throws(Refusal) in try RunInput.text(path, "prompt_cache_path") } ?? ""
        promptCachePath = path.isEmpty ? Self.defaultCachePath : path
    }
}

/// A pointer that is handed back as it came, and never looked at.
public struct UserData: @unchecked Sendable {
    public let pointer: UnsafeMutableRawPointer?
}

/// One input of a run, copied.
public struct RunInput: Sendable {
    enum Content: Sendable {
        case prompt(String)
        case tokens([Int32])
        case embeddings([Float], rows: Int)
    }

    enum Role: String, Sendable {
        case user
        case tool
    }

    let content: Content
    let role: Role
    let thinks: Bool

    private init(_ content: Content, role: UnsafePointer<CChar>?, thinks: Bool) throws(Refusal) {
        let word = try role.map { role throws(Refusal) in try Self.text(role, "role") } ?? Role.user.rawValue
        guard let known = Role(rawValue: word) else { throw Refusal("role is '\(word)'; allowed is user or tool") }
        self.content = content
        self.role = known
        self.thinks = thinks
    }

    public static func prompt(
        _ text: UnsafePointer<CChar>?, role: UnsafePointer<CChar>?, thinks: Bool
    ) throws(Refusal) -> RunInput {
        try RunInput(.prompt(try Self.text(text, "prompt_input")), role: role, thinks: thinks)
    }

    public static func tokens(
        _ ids: UnsafePointer<Int32>?, count: Int, role: UnsafePointer<CChar>?, handle: ModelHandle
    ) throws(Refusal) -> RunInput {
        guard let ids else { throw Refusal("input_ids is NULL") }
        try check(count: count, handle)
        return try RunInput(.tokens(Array(UnsafeBufferPointer(start: ids, count: count))), role: role, thinks: false)
    }

    public static func embeddings(
        _ rows: UnsafePointer<Float>?, count: Int, role: UnsafePointer<CChar>?, handle: ModelHandle
    ) throws(Refusal) -> RunInput {
        guard let rows else { throw Refusal("embed is NULL") }
        try check(count: count, handle)
        let values = Array(UnsafeBufferPointer(start: rows, count: count * Int(handle.model.embeddingWidth)))
        return try RunInput(.embeddings(values, rows: count), role: role, thinks: false)
    }

    /// Before that many are read.
    private static func check(count: Int, _ handle: ModelHandle) throws(Refusal) {
        guard count > 0, count <= handle.model.contextLength else {
            throw Refusal(
                "n_tokens is \(UInt(bitPattern: count)); allowed is 1 to \(handle.model.contextLength), the context")
        }
    }

    /// A text that has to be there.
    public static func text(_ text: UnsafePointer<CChar>?, _ field: String) throws(Refusal) -> String {
        guard let text else { throw Refusal("\(field) is NULL") }
        guard let text = String(validatingCString: text) else { throw Refusal("\(field) is not valid UTF-8") }
        return text
    }
}
