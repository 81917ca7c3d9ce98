import Platform

// The functions that are the same in all families.

/// Calls a function of a handle; a refusal becomes -1 and a line.
public func answer(
    _ function: StaticString, _ handle: UnsafeMutableRawPointer?,
    _ body: (ModelHandle) throws(Refusal) -> Int32
) -> Int32 {
    do throws(Refusal) {
        guard let found = HandleTable.find(handle) else {
            throw Refusal("the handle is none that rkllm_init has made, or it was destroyed")
        }
        return try body(found)
    } catch {
        return refuse(function, error)
    }
}

private func refuse(_ function: StaticString, _ refusal: Refusal) -> Int32 {
    Speech.say(.error, function, refusal.text)
    return -1
}

/// What `rkllm_init` does after it has read its structures.
///
/// - Parameter read: what it gets from them.
public func openModel(
    _ handle: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    _ read: () throws(Refusal) -> (ModelParameters, RunCallback)
) -> Int32 {
    let function: StaticString = "rkllm_init"
    handle?.pointee = nil
    do throws(Refusal) {
        guard let handle else { throw Refusal("handle is NULL") }
        let (parameters, callback) = try read()
        let model = try ModelHandle(parameters, callback: callback)
        if !parameters.withoutEffect.isEmpty {
            let names = parameters.withoutEffect.joined(separator: ", ")
            Speech.say(.warning, function, "without an NPU, these change nothing: \(names)")
        }
        handle.pointee = HandleTable.add(model)
        return 0
    } catch {
        return refuse(function, error)
    }
}

/// What `enabled_cpus_num` is by default: all that the machine grants.
public func usableThreads() -> Int8 { Int8(clamping: CPULimits.current().usableCount) }

/// A text of a program, or nil for NULL.
private func text(_ pointer: UnsafePointer<CChar>?, _ field: String) throws(Refusal) -> String? {
    try pointer.map { pointer throws(Refusal) in try RunInput.text(pointer, field) }
}

@_cdecl("rkllm_destroy")
public func destroy(_ handle: UnsafeMutableRawPointer?) -> Int32 {
    answer("rkllm_destroy", handle) { _ in
        // Of two that destroy the same handle, one has removed it.
        guard let found = HandleTable.remove(handle) else { return -1 }
        found.destroy()
        return 0
    }
}

@_cdecl("rkllm_abort")
public func abort(_ handle: UnsafeMutableRawPointer?) -> Int32 {
    answer("rkllm_abort", handle) { handle in
        handle.abort()
        return 0
    }
}

@_cdecl("rkllm_clear_kv_cache")
public func clearCache(
    _ handle: UnsafeMutableRawPointer?, _ keepsSystemPrompt: Int32, _ starts: UnsafePointer<Int32>?,
    _ ends: UnsafePointer<Int32>?
) -> Int32 {
    answer("rkllm_clear_kv_cache", handle) { handle throws(Refusal) in
        guard (starts == nil) == (ends == nil) else { throw Refusal("one of start_pos and end_pos is NULL") }
        let count = handle.inputs
        let ranges = starts.flatMap { starts in ends.map { ends in (0..<count).map { (starts[$0], ends[$0]) } } }
        try handle.clearCache(keepsSystemPrompt: keepsSystemPrompt != 0, ranges: ranges)
        return 0
    }
}

@_cdecl("rkllm_get_kv_cache_size")
public func getCacheSize(_ handle: UnsafeMutableRawPointer?, _ sizes: UnsafeMutablePointer<Int32>?) -> Int32 {
    answer("rkllm_get_kv_cache_size", handle) { handle throws(Refusal) in
        guard let sizes else { throw Refusal("cache_sizes is NULL") }
        for (place, size) in handle.cacheSizes().enumerated() { sizes[place] = size }
        return 0
    }
}

@_cdecl("rkllm_load_prompt_cache")
public func loadPromptCache(_ handle: UnsafeMutableRawPointer?, _ path: UnsafePointer<CChar>?) -> Int32 {
    answer("rkllm_load_prompt_cache", handle) { handle throws(Refusal) in
        try handle.loadPromptCache(path: try RunInput.text(path, "prompt_cache_path"))
        return 0
    }
}

@_cdecl("rkllm_release_prompt_cache")
public func releasePromptCache(_ handle: UnsafeMutableRawPointer?) -> Int32 {
    answer("rkllm_release_prompt_cache", handle) { handle throws(Refusal) in
        try handle.releasePromptCache()
        return 0
    }
}

@_cdecl("rkllm_set_chat_template")
public func setChatTemplate(
    _ handle: UnsafeMutableRawPointer?, _ system: UnsafePointer<CChar>?, _ prefix: UnsafePointer<CChar>?,
    _ postfix: UnsafePointer<CChar>?
) -> Int32 {
    answer("rkllm_set_chat_template", handle) { handle throws(Refusal) in
        try handle.setChatTemplate(
            system: try text(system, "system_prompt"), prefix: try text(prefix, "prompt_prefix"),
            postfix: try text(postfix, "prompt_postfix"))
        return 0
    }
}

@_cdecl("rkllm_set_function_tools")
public func setFunctionTools(
    _ handle: UnsafeMutableRawPointer?, _ system: UnsafePointer<CChar>?, _ tools: UnsafePointer<CChar>?,
    _ responseTag: UnsafePointer<CChar>?
) -> Int32 {
    answer("rkllm_set_function_tools", handle) { handle throws(Refusal) in
        // The model's template has a tag of its own for what tools answer.
        _ = try text(responseTag, "tool_response_str")
        try handle.setFunctionTools(
            system: try text(system, "system_prompt"), definitions: try text(tools, "tools"))
        return 0
    }
}

@_cdecl("rkllm_load_lora")
public func loadAdapter(_ handle: UnsafeMutableRawPointer?, _ adapter: UnsafeRawPointer?) -> Int32 {
    answer("rkllm_load_lora", handle) { _ throws(Refusal) in throw .unsupported("LoRA adapters") }
}

@_cdecl("rkllm_set_cross_attn_params")
public func setCrossAttention(_ handle: UnsafeMutableRawPointer?, _ params: UnsafeRawPointer?) -> Int32 {
    answer("rkllm_set_cross_attn_params", handle) { _ throws(Refusal) in throw .unsupported("cross attention") }
}
