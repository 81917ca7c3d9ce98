import EngineProtocol
import JSON
import Platform

/// A run, as the engine is to do it.
struct RKLLMRunRequest {
    var generate: GenerateRequest
    /// What holds the prompt and the answer together; nil is the model's.
    let contextLength: UInt32?
    private(set) var userdata: [UInt8]?
    /// The next run may go on where this one ends.
    private(set) var keepsHistory = false
    /// It goes on with the answer that was paused.
    private(set) var resumes = false
    /// It is to be in the handle's session although it keeps nothing, so that it can be paused.
    private(set) var isPausable = false
    /// Where the prompt's cache is saved; nil: nowhere.
    private(set) var cachePath: String?
    /// What is wanted of the rows.
    private(set) var selection = RowSelection()
    /// Its input where it goes on with others, without what stands at the beginning only; nil: the same.
    private(set) var followingInput: GenerateRequest.Input?

    /// Whether it needs what the handle keeps.
    var usesHistory: Bool { keepsHistory || isPausable || cachePath != nil }

    /// - Parameter model: nil while nothing is known of it.
    init(_ fields: ShapedObject, handle: RKLLMHandle, model: ModelDescription?) throws(RPCError) {
        let infer = try Self.part("infer_param", of: fields, RKLLMStructs.inferParam)
        let inputs = try Self.inputs(fields, handle: handle)
        var engineInputs: [GenerateRequest.Input] = []
        for input in inputs { engineInputs.append(try Self.engineInput(input, handle: handle, model: model)) }
        let settings = handle.settings
        var sampling = settings.sampling
        if let own = infer.object("sampling_params") { sampling = sampling.changed(by: own) }
        if infer.integer("seed") != nil, model?.drawsItsOwnNumbers == true {
            throw .unsupported("seeds: the Rockchip runtime draws its own numbers", field: infer.path("seed"))
        }
        sampling.seed = infer.integer("seed").map { UInt64(bitPattern: $0) } ?? SystemRandom.next()
        let ownMaximum = infer.integer("max_new_tokens").flatMap { $0 > 0 ? UInt32($0) : nil }
        generate = GenerateRequest(
            inputs: engineInputs, maximumTokens: ownMaximum ?? settings.maximumTokens, sampling: sampling,
            stopStrings: (infer.list("stop") ?? []).compactMap { if case .text(let text) = $0 { text } else { nil } },
            ignoreEndOfSequence: settings.ignoresEndOfSequence)
        if let empty = generate.stopStrings.first(where: \.isEmpty) {
            throw .invalid(infer.path("stop"), "a string of 'stop' has \(empty.utf8.count) bytes; the least is 1")
        }
        if let kind = Self.tensorKind(infer.integer("mode") ?? 0) {
            // The prompt alone is computed, unless the run itself asks for more.
            generate.maximumTokens = ownMaximum ?? 0
            generate.tensors = TensorRequest(kind: kind, credit: Self.tensorCredit)
        }
        generate.deadline = Self.deadline(infer)
        generate.adapter = infer.object("lora_params")?.text("lora_adapter_name").flatMap { $0.isEmpty ? nil : $0 }
        generate.crossAttention = handle.crossAttention
        contextLength = settings.contextLength
        userdata = try Self.userdata(fields)
        selection = try RowSelection(infer, kind: generate.tensors?.kind)
        try readHistory(infer, handle: handle)
        // The vendor's runtime takes another template for a new beginning, so it is told its system text each time.
        let hasSystem = handle.frame.map { !$0.system.isEmpty } ?? (model?.isForRuntime != true && handle.tools != nil)
        guard keepsHistory, hasSystem else { return }
        followingInput = try Self.engineInput(inputs[0], handle: handle, model: model, follows: true)
    }

    /// Goes on with a run that was paused, and is nobody else's.
    init(resuming paused: RKLLMRunRequest, _ fields: ShapedObject) throws(RPCError) {
        self = paused
        userdata = try Self.userdata(fields)
        generate.inputs = [.resumed]
        generate.deadline = Self.deadline(fields)
        generate.session = nil
        (followingInput, cachePath) = (nil, nil)
        (resumes, isPausable) = (true, true)
    }

    /// What is left of it to do, after so many tokens.
    func rest(after tokens: Int) -> RKLLMRunRequest {
        var rest = self
        if let maximum = generate.maximumTokens {
            rest.generate.maximumTokens = max(1, maximum - UInt32(clamping: min(tokens, Int(maximum))))
        }
        return rest
    }

    private static func deadline(_ fields: ShapedObject) -> UInt64 {
        guard let milliseconds = fields.integer("timeout_ms") else { return 0 }
        return MonotonicClock.now() + UInt64(milliseconds) * 1_000_000
    }

    private mutating func readHistory(_ infer: ShapedObject, handle: RKLLMHandle) throws(RPCError) {
        keepsHistory = infer.flag("keep_history") ?? false
        isPausable = infer.flag("pausable") ?? false
        if let cache = infer.object("prompt_cache_params"), cache.flag("save_prompt_cache") == true {
            cachePath = cache.text("prompt_cache_path").flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultCachePath
        }
        guard usesHistory, handle.settings.batchCount > 1 else { return }
        let name = keepsHistory ? "keep_history" : isPausable ? "pausable" : "prompt_cache_params"
        throw .unsupported("\(name) together with n_batch", field: infer.path(name))
    }

    /// Where the vendor's runtime saves one that has no name.
    private static let defaultCachePath = "prompt_cache.bin"

    /// Bytes of rows that may come before the outbox has been emptied.
    private static let tensorCredit: UInt64 = 256 << 10

    private static func tensorKind(_ mode: Int64) -> TensorRequest.Kind? {
        switch mode {
        case 1: .hiddenStates
        case 2: .logits
        default: nil
        }
    }

    private static func userdata(_ fields: ShapedObject) throws(RPCError) -> [UInt8]? {
        guard let value = fields.json("userdata") else { return nil }
        let bytes = value.serialized
        guard bytes.count <= RPCLimits.userdataBytes else {
            throw .invalid("userdata", "'userdata' has \(bytes.count) bytes; the limit is \(RPCLimits.userdataBytes)")
                .with("limit", RPCLimits.userdataBytes).with("value", bytes.count)
        }
        return bytes
    }

    /// The member that holds a struct, or else the struct's own members among the parameters, as older clients send them.
    private static func part(
        _ name: String, of fields: ShapedObject, _ shape: StructShape
    ) throws(RPCError) -> ShapedObject {
        guard let part = fields.object(name) else { return fields }
        try refuseMixture(of: name, fields, shape)
        return part
    }

    private static func refuseMixture(
        of name: String, _ fields: ShapedObject, _ shape: StructShape
    ) throws(RPCError) {
        guard let other = shape.fields.first(where: { fields.has($0.name) }) else { return }
        throw .invalid(other.name, "'\(other.name)' is a member of '\(name)', which is given too")
    }

    private static func inputs(_ fields: ShapedObject, handle: RKLLMHandle) throws(RPCError) -> [ShapedObject] {
        var inputs = [fields]
        if let list = fields.list("input") {
            try refuseMixture(of: "input", fields, RKLLMStructs.input)
            inputs = list.compactMap { if case .object(let input) = $0 { input } else { nil } }
        }
        let wanted = handle.settings.batchCount
        guard inputs.count == wanted else {
            throw .invalid("input", "the handle's 'n_batch' is \(wanted), but there are \(inputs.count) inputs")
                .with("limit", wanted).with("value", inputs.count)
        }
        return inputs
    }
}

// MARK: - Inputs

extension RKLLMRunRequest {
    /// - Parameter follows: it goes on with a conversation that began before.
    private static func engineInput(
        _ input: ShapedObject, handle: RKLLMHandle, model: ModelDescription?, follows: Bool = false
    ) throws(RPCError) -> GenerateRequest.Input {
        let kinds = ["prompt_input", "token_input", "embed_input", "multimodal_input"]
        var given = kinds.indices.filter { input.has(kinds[$0]) }
        // The text of images may stand beside them.
        if given == [0, 3], input.object("multimodal_input")?.has("prompt") != true { given = [3] }
        guard given.count == 1, let kind = given.first else {
            let found = given.isEmpty ? "none" : given.map { kinds[$0] }.joined(separator: " and ")
            throw .invalid(
                input.path("prompt_input"), "an input has one of \(kinds.joined(separator: ", ")), not \(found)")
        }
        if let type = input.integer("input_type"), type != Int64(kind) {
            throw .invalid(
                input.path("input_type"),
                "'input_type' is \(type), but '\(kinds[kind])' is there, whose type is \(kind)")
        }
        switch kind {
        case 0:
            return prompt(input.text("prompt_input") ?? "", input, handle: handle, model: model, follows: follows)
        case 1: return try tokens(input)
        case 2: return try embeddings(input, model: model)
        default: return .multimodal(try MultimodalInput(input, tags: handle.settings))
        }
    }

    /// The handle's frame, else the model's template, else the text alone.
    private static func prompt(
        _ text: String, _ input: ShapedObject, handle: RKLLMHandle, model: ModelDescription?, follows: Bool
    ) -> GenerateRequest.Input {
        if let frame = handle.frame {
            return .text((follows ? "" : frame.system) + frame.prefix + text + frame.postfix)
        }
        guard model?.hasChatTemplate ?? true else { return .text(text) }
        var writer = JSONWriter()
        writer.beginArray()
        if let system = handle.tools?.system, !system.isEmpty, !follows { writer.message(role: "system", system) }
        writer.message(role: input.integer("role") == 1 ? "tool" : "user", text)
        writer.endArray()
        let thinks = input.flag("enable_thinking") ?? false
        return .chat(
            ChatInput(
                messagesJSON: String(decoding: writer.bytes, as: UTF8.self), toolsJSON: handle.tools?.definitions,
                variablesJSON: #"{"enable_thinking":\#(thinks)}"#))
    }

    private static func tokens(_ input: ShapedObject) throws(RPCError) -> GenerateRequest.Input {
        let tokens = input.object("token_input") ?? ShapedObject()
        let ids = (tokens.list("input_ids") ?? []).compactMap { value -> Int32? in
            if case .integer(let id) = value { Int32(id) } else { nil }
        }
        guard !ids.isEmpty else {
            throw .invalid(tokens.path("input_ids"), "'\(tokens.path("input_ids"))' holds at least one token id")
        }
        if let count = tokens.integer("n_tokens"), count != Int64(ids.count) {
            throw .invalid(
                tokens.path("n_tokens"),
                "'\(tokens.path("n_tokens"))' is \(count), but there are \(ids.count) token ids"
            ).with("value", count)
        }
        return .ids(ids)
    }

    private static func embeddings(
        _ input: ShapedObject, model: ModelDescription?
    ) throws(RPCError) -> GenerateRequest.Input {
        let embed = input.object("embed_input") ?? ShapedObject()
        let place = embed.path("embed")
        let rows = try Tensor(
            embed.json("embed") ?? .null, rows: embed.integer("n_tokens").map { Int($0) }, place: place)
        if let width = model?.embeddingWidth, width > 0, rows.columns != width {
            throw .invalid(
                place, "'\(place)' has rows of \(rows.columns) numbers; this model's width is \(width)"
            ).with("limit", width).with("value", rows.columns)
        }
        return .embeddings(rows)
    }
}

extension JSONWriter {
    fileprivate mutating func message(role: String, _ content: String) {
        beginObject()
        key("role")
        string(role)
        key("content")
        string(content)
        endObject()
    }
}

// MARK: - Images and videos

extension MultimodalInput {
    fileprivate init(_ input: ShapedObject, tags: RKLLMSettings) throws(RPCError) {
        let fields = input.object("multimodal_input") ?? ShapedObject()
        var media: [Media] = []
        if let image = try Self.image(fields, tags: tags) { media.append(image) }
        if let video = fields.object("video") { media.append(try Self.video(video)) }
        guard !media.isEmpty else {
            throw .invalid(fields.path("image_embed"), "'\(fields.path("image_embed"))' or a video is missing")
        }
        self.init(prompt: fields.text("prompt") ?? input.text("prompt_input") ?? "", media: media)
    }

    /// In a struct of its own, as the newest runtime has it, or side by side with the prompt.
    private static func image(_ outer: ShapedObject, tags: RKLLMSettings) throws(RPCError) -> Media? {
        let fields = outer.object("image") ?? outer
        let isBase64 = fields.has("image_embed_base64")
        guard isBase64 || fields.has("image_embed") else { return nil }
        let count = fields.integer("n_image") ?? 1
        let tokens = try required("n_image_tokens", of: fields)
        let rows = count * tokens
        let embeddings =
            isBase64
            ? try Tensor(
                base64: fields.text("image_embed_base64") ?? "", rows: rows, place: fields.path("image_embed_base64"))
            : try tensor("image_embed", of: fields, rows: rows)
        return Media(
            kind: .image, count: UInt32(count), tokensPerFrame: UInt32(tokens),
            width: UInt32(try required("image_width", of: fields)),
            height: UInt32(try required("image_height", of: fields)),
            startTag: fields.text("image_start") ?? tags.imageTag("img_start"),
            endTag: fields.text("image_end") ?? tags.imageTag("img_end"),
            contentTag: fields.text("image_content") ?? tags.imageTag("img_content"), embeddings: embeddings)
    }

    private static func video(_ fields: ShapedObject) throws(RPCError) -> Media {
        let count = fields.integer("n_video") ?? 1
        let frames = try required("n_frame_per_video", of: fields)
        let tokens = try required("n_frame_tokens", of: fields)
        return Media(
            kind: .video, count: UInt32(count), framesPerItem: UInt32(frames), tokensPerFrame: UInt32(tokens),
            width: UInt32(try required("frame_width", of: fields)),
            height: UInt32(try required("frame_height", of: fields)), startTag: fields.text("video_start") ?? "",
            endTag: fields.text("video_end") ?? "", contentTag: fields.text("video_content") ?? "",
            embeddings: try tensor("video_embed", of: fields, rows: count * frames * tokens))
    }

    private static func required(_ name: String, of fields: ShapedObject) throws(RPCError) -> Int64 {
        guard let value = fields.integer(name) else {
            throw .invalid(fields.path(name), "'\(fields.path(name))' is missing")
        }
        return value
    }

    private static func tensor(_ name: String, of fields: ShapedObject, rows: Int64) throws(RPCError) -> Tensor {
        guard rows <= 1 << 24 else {
            throw .invalid(fields.path(name), "'\(fields.path(name))' would have \(rows) rows; the limit is \(1 << 24)")
        }
        return try Tensor(fields.json(name) ?? .null, rows: Int(rows), place: fields.path(name))
    }
}

// MARK: - Rows

extension RowSelection {
    fileprivate init(_ infer: ShapedObject, kind: TensorRequest.Kind?) throws(RPCError) {
        if let number = infer.integer("pooling") { pooling = Pooling.allCases[Int(number)] }
        normalizes = infer.flag("normalize") ?? false
        largest = Int(infer.integer("logits_top_k") ?? 0)
        tokenIDs = (infer.list("logits_token_ids") ?? []).compactMap { value in
            if case .integer(let id) = value { Int32(id) } else { nil }
        }
        func refuse(_ name: String, _ isGiven: Bool, _ wanted: String) throws(RPCError) {
            guard isGiven else { return }
            throw .invalid(infer.path(name), "'\(infer.path(name))' is for runs with \(wanted)")
        }
        if kind != .logits {
            try refuse("logits_top_k", largest > 0, "'mode' 2")
            try refuse("logits_token_ids", !tokenIDs.isEmpty, "'mode' 2")
        }
        if kind != .hiddenStates {
            try refuse("normalize", normalizes, "'mode' 1")
            try refuse("pooling", pooling == .mean, "'mode' 1 where it is 'mean'")
        }
        try refuse("pooling", pooling != .none && kind == nil, "'mode' 1 or 2")
        try refuse("logits_top_k", largest > 0 && !tokenIDs.isEmpty, "'mode' 2 without 'logits_token_ids'")
    }
}

extension ModelDescription {
    /// It is run by the Rockchip runtime, which takes no seed.
    fileprivate var drawsItsOwnNumbers: Bool { architecture == "rkllm" }
}
