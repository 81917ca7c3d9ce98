import EngineProtocol

/// What `rkllm.init` opens: a served model, as one client has set it up.
///
/// Everything that the `set_…` methods change is here and goes with each run: no client changes another's answers.
final class RKLLMHandle {
    /// What `rkllm.set_chat_template` says: the prompt stands between two strings, after a third.
    struct PromptFrame {
        var system: String
        var prefix: String
        var postfix: String
    }

    struct FunctionTools {
        var system: String?
        /// A JSON array.
        var definitions: String
    }

    let id: String
    let model: String
    let settings: RKLLMSettings
    var frame: PromptFrame?
    var tools: FunctionTools?
    /// What the model's layers attend to besides; its bytes are counted by the service.
    private(set) var crossAttention: CrossAttention?
    private var crossAttentionBytes = 0
    /// Nil until something is to be kept from one run to the next.
    var history: HandleHistory?
    /// The run that was paused last, as it is to go on.
    var paused: RKLLMRunRequest?

    init(id: String, model: String, settings: RKLLMSettings) {
        self.id = id
        self.model = model
        self.settings = settings
    }

    /// - Throws: when there is no place for it.
    func set(_ attention: CrossAttention?, in service: RPCService) throws(RPCError) {
        service.giveBackTensorBytes(crossAttentionBytes)
        (crossAttention, crossAttentionBytes) = (nil, 0)
        guard let attention else { return }
        let bytes = attention.byteCount
        guard service.keepTensorBytes(bytes) else {
            throw .limit("tensors that are kept for clients", limit: service.limits.keptTensorBytes, value: bytes)
        }
        (crossAttention, crossAttentionBytes) = (attention, bytes)
    }

    /// It is closed: what it kept is let go.
    func end(in service: RPCService) {
        history?.end()
        (history, paused) = (nil, nil)
        service.giveBackTensorBytes(crossAttentionBytes)
        (crossAttention, crossAttentionBytes) = (nil, 0)
    }
}

extension CrossAttention {
    fileprivate var byteCount: Int { keys.byteCount + values.byteCount + mask.byteCount + positions.count * 4 }
}
