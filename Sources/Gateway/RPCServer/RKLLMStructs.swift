import JSON

/// The structs of `rkllm.h` as JSON: the names of their members, what is allowed, and what holds without them.
///
/// Checking, `rkllm.createDefaultParam` and the schema of `rpc.discover` come from here.
enum RKLLMStructs {
    typealias Field = StructShape.Field

    static let inputTypes: [(name: String, number: Int64)] = [
        ("RKLLM_INPUT_PROMPT", 0), ("RKLLM_INPUT_TOKEN", 1), ("RKLLM_INPUT_EMBED", 2), ("RKLLM_INPUT_MULTIMODAL", 3),
    ]
    static let inferModes: [(name: String, number: Int64)] = [
        ("RKLLM_INFER_GENERATE", 0), ("RKLLM_INFER_GET_LAST_HIDDEN_LAYER", 1), ("RKLLM_INFER_GET_LOGITS", 2),
    ]
    static let callStates: [(name: String, number: Int64)] = [
        ("RKLLM_RUN_NORMAL", 0), ("RKLLM_RUN_WAITING", 1), ("RKLLM_RUN_FINISH", 2), ("RKLLM_RUN_ERROR", 3),
    ]

    private static let tag = Shape.text(maximumBytes: RPCLimits.nameBytes)
    private static let count = Shape.integer(1...(1 << 24))

    // MARK: Of a handle

    private static let samplingFields = [
        Field(
            "top_k", .integer(-1...Int64(Int32.max)), default: integer(40),
            "Likeliest tokens to choose from; 0 and -1 are all."),
        Field("top_p", .number(0...1), default: number(0.9), "Share of probability to choose from."),
        Field("temperature", .number(0...2), default: number(0.8), "0 always takes the likeliest token."),
        Field("repeat_penalty", .number(0.01...10), default: number(1.1), "1 is off."),
        Field("frequency_penalty", .number(-2...2), default: number(0), "0 is off."),
        Field("presence_penalty", .number(-2...2), default: number(0), "0 is off."),
        Field("mirostat", .integer(0...2), default: integer(0), "Version; 0 is off."),
        Field("mirostat_tau", .number(0...100), default: number(5), "Mirostat's target."),
        Field("mirostat_eta", .number(0...1), default: number(0.1), "Mirostat's rate."),
    ]

    static let extendParam = StructShape(
        name: "RKLLMExtendParam",
        fields: [
            Field(
                "base_domain_id", .integer(0...255), default: integer(0),
                "NPU memory domain: the server's settings decide."),
            Field(
                "embed_flash", .flag, default: .bool(false),
                "Reads the embedding table from storage: the server's settings decide."),
            Field(
                "enabled_cpus_num", .integer(0...1024), default: integer(4),
                "Threads; here the server's settings decide, and the answer to rkllm.init tells them."),
            Field(
                "enabled_cpus_mask", .integer(0...Int64(UInt32.max)), default: integer(0),
                "Processors; here the server's affinity decides."),
            Field(
                "n_batch", .integer(1...Int64(RPCLimits.batchInputs)), default: integer(1),
                "Inputs of each run on this handle."),
            Field(
                "use_cross_attn", .flag, default: .bool(false),
                "Whether rkllm.set_cross_attn_params is used; a model without it says so."),
            Field("reserved", .nothing, "Null."),
        ])

    static let param = StructShape(
        name: "RKLLMParam",
        fields: [
            Field(
                "model_path", .text(maximumBytes: RPCLimits.pathBytes),
                "A served model's name or path; an administrator may name a file below server.model_roots."),
            Field(
                "max_context_len", .integer(0...(1 << 24)), default: integer(0),
                "Positions of prompt and answer together, at most the model's; 0 is the model's."),
            Field(
                "max_new_tokens", .integer(-1...Int64(Int32.max)), default: integer(-1),
                "Longest answer; -1 and 0 are the rest of the context."),
            Field(
                "n_keep", .integer(-1...(1 << 24)), default: integer(0),
                "Positions that stay when the window shifts; here it never does, so all stay."),
        ] + samplingFields + [
            Field(
                "skip_special_token", .flag, default: .bool(true),
                "Special tokens are left out of the text; they always are."),
            Field(
                "ignore_eos_token", .flag, default: .bool(false), "Generates past the model's end-of-sequence tokens."),
            Field("is_async", .flag, default: .bool(false), "No call of this protocol blocks, so it changes nothing."),
            Field("img_start", tag, "What stands before an image."),
            Field("img_end", tag, "What stands after an image."),
            Field("img_content", tag, "What stands in the place of an image's tokens."),
            Field("extend_param", .object(extendParam), "More of them."),
        ])

    // MARK: Of a run

    static let samplingParam = StructShape(
        name: "RKLLMSamplingParam",
        fields: samplingFields.map { Field($0.name, $0.shape, "\($0.help) Absent: the handle's.") })

    private static let tokenInput = StructShape(
        name: "RKLLMTokenInput",
        fields: [
            Field(
                "input_ids", .list(of: .integer(0...Int64(Int32.max)), maximum: 1 << 20), required: true, "Token ids."),
            Field("n_tokens", .integer(0...(1 << 24)), "Their number, if it is given."),
        ])

    private static let embedInput = StructShape(
        name: "RKLLMEmbedInput",
        fields: [
            Field("embed", .tensor, required: true, "One row of the model's width for each position."),
            Field("n_tokens", .integer(1...(1 << 24)), "Rows; needed with an array of numbers."),
        ])

    private static let imageFields = [
        Field("image_embed", .tensor, "A row for each token of each image."),
        Field("n_image_tokens", count, "Tokens of an image."),
        Field("n_image", count, default: integer(1), "Images."),
        Field("image_width", count, "In pixels."),
        Field("image_height", count, "In pixels."),
    ]

    private static let imageInput = StructShape(
        name: "RKLLMImageInput",
        fields: imageFields + [
            Field("image_start", tag, "What stands before each; absent: the handle's."),
            Field("image_end", tag, "What stands after each; absent: the handle's."),
            Field("image_content", tag, "What stands in the place of its tokens; absent: the handle's."),
        ])

    private static let videoInput = StructShape(
        name: "RKLLMVideoInput",
        fields: [
            Field("video_embed", .tensor, required: true, "A row for each token of each frame of each video."),
            Field("n_frame_tokens", count, required: true, "Tokens of a frame."),
            Field("n_frame_per_video", count, required: true, "Frames of a video."),
            Field("n_video", count, default: integer(1), "Videos."),
            Field("frame_width", count, required: true, "In pixels."),
            Field("frame_height", count, required: true, "In pixels."),
            Field("video_start", tag, "What stands before each."),
            Field("video_end", tag, "What stands after each."),
            Field("video_content", tag, "What stands in the place of its tokens."),
        ])

    private static let multimodalInput = StructShape(
        name: "RKLLMMultiModalInput",
        fields: [
            Field(
                "prompt", .text(maximumBytes: RPCLimits.promptBytes),
                "A text with <image> or <video> for each; absent: prompt_input.")
        ] + imageFields + [
            Field(
                "image_embed_base64", .text(maximumBytes: RPCLimits.imageBytes),
                "The rows as base64 of little-endian floats."),
            Field("image", .object(imageInput), "The images, as the newest runtime has them."),
            Field("video", .object(videoInput), "The videos."),
        ])

    static let input = StructShape(
        name: "RKLLMInput",
        fields: [
            Field(
                "role", .choice([("user", 0), ("tool", 1)]), default: .string("user"),
                "Who speaks: with 'tool' the prompt is the results of tools, a JSON array in the order of the calls."),
            Field(
                "enable_thinking", .flag, default: .bool(false),
                "For templates with that switch; without effect after rkllm.set_chat_template."),
            Field("input_type", .choice(inputTypes), "Which of the four follows; absent: the one that is there."),
            Field("prompt_input", or: ["prompt"], .text(maximumBytes: RPCLimits.promptBytes), "A text."),
            Field("token_input", .object(tokenInput), "Token ids, which no template touches."),
            Field("embed_input", .object(embedInput), "Embeddings, which no template touches."),
            Field(
                "multimodal_input", or: ["multimodal"], .object(multimodalInput),
                "Images and videos; a model that takes none says so."),
        ])

    private static let loraParam = StructShape(
        name: "RKLLMLoraParam",
        fields: [
            Field(
                "lora_adapter_name", .text(maximumBytes: RPCLimits.nameBytes),
                "An adapter that rkllm.load_lora has loaded; empty: the model alone.")
        ])

    private static let promptCacheParam = StructShape(
        name: "RKLLMPromptCacheParam",
        fields: [
            Field("save_prompt_cache", .flag, default: .bool(false), "Saves the prompt's part of the cache."),
            Field(
                "prompt_cache_path", .text(maximumBytes: RPCLimits.pathBytes), default: .string("prompt_cache.bin"),
                "A file in rpc.cache_root, for which an administrator's key is needed."),
        ])

    static let timeout = Field(
        "timeout_ms", .integer(1...86_400_000), "Of this server: the run ends with -32003 when it takes longer.")

    static let inferParam = StructShape(
        name: "RKLLMInferParam",
        fields: [
            Field(
                "mode", .choice(inferModes), default: integer(0), "Text, hidden states of the last layer, or logits."),
            Field("lora_params", .object(loraParam), "An adapter."),
            Field("prompt_cache_params", .object(promptCacheParam), "Where the prompt's cache is saved."),
            Field("sampling_params", .object(samplingParam), "For this run; what is absent is the handle's."),
            Field(
                "keep_history", .flag, default: .bool(false),
                "The run goes on after the one before it, if that kept its history too."),
            Field("max_new_tokens", .integer(-1...Int64(Int32.max)), "For this run; -1 and 0 are the handle's."),
            Field(
                "seed", .integer(Int64.min...Int64.max), "Of the native engine: the same seed gives the same answer."),
            Field(
                "stop",
                .oneOrMany(.text(maximumBytes: RPCLimits.stopStringBytes), maximum: RPCLimits.stopStrings),
                "Of this server: the answer ends before one of these strings."),
            timeout,
            Field(
                "pausable", .flag, default: .bool(false),
                "Of this server: rkllm.pause can halt the run; one that keeps its history always can be."),
            Field(
                "pooling", .choice([("none", 0), ("last", 1), ("mean", 2)]), default: .string("none"),
                "Of this server: the last row alone, or the mean of all hidden states."),
            Field("normalize", .flag, default: .bool(false), "Of this server: hidden states have length 1."),
            Field(
                "logits_top_k", .integer(0...Int64(RPCLimits.chosenLogits)), default: integer(0),
                "Of this server: so many of the largest logits of each row; 0 is all."),
            Field(
                "logits_token_ids",
                .list(of: .integer(0...Int64(Int32.max)), maximum: RPCLimits.chosenLogits),
                "Of this server: the logits of these tokens."),
        ])

    // MARK: Of the other methods

    static let loraAdapter = StructShape(
        name: "RKLLMLoraAdapter",
        fields: [
            Field("lora_adapter_path", .text(maximumBytes: RPCLimits.pathBytes), required: true, "The file."),
            Field("lora_adapter_name", .text(maximumBytes: RPCLimits.nameBytes), required: true, "Its name in runs."),
            Field("scale", .number(-100...100), default: number(1), "Its weight."),
        ])

    static let crossAttnParam = StructShape(
        name: "RKLLMCrossAttnParam",
        fields: [
            Field("encoder_k_cache", .tensor, required: true, "[layer][token][kv_head][dim]"),
            Field("encoder_v_cache", .tensor, required: true, "[layer][kv_head][dim][token]"),
            Field("encoder_mask", .tensor, required: true, "One value for each token."),
            Field(
                "encoder_pos", .list(of: .integer(Int64(Int32.min)...Int64(Int32.max)), maximum: 1 << 20),
                required: true, "One for each token."),
            Field("num_tokens", .integer(1...(1 << 24)), required: true, "Tokens of the encoder."),
        ])

    private static func integer(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }

    private static func number(_ value: Double) -> JSONValue { JSONNumber(value).map { .number($0) } ?? .null }
}

/// The numbers of `rkllm.h`, as `rkllm.get_constants` tells them.
enum RKLLMConstants {
    static let document: [UInt8] = {
        var writer = JSONWriter()
        writer.beginObject()
        func group(_ name: StaticString, _ members: [(name: String, number: Int64)]) {
            writer.key(name)
            writer.beginObject()
            for member in members {
                writer.key(member.name)
                writer.integer(member.number)
            }
            writer.endObject()
        }
        group("CPU_MASKS", (0..<8).map { ("CPU\($0)", 1 << Int64($0)) })
        group("LLM_CALL_STATES", RKLLMStructs.callStates)
        group("INPUT_TYPES", RKLLMStructs.inputTypes)
        group("INFER_MODES", RKLLMStructs.inferModes)
        writer.endObject()
        return writer.bytes
    }()
}
