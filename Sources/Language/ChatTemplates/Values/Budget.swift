/// What a rendering may still use: work, depth, sizes.
///
/// Everything that grows with the template or its input asks here.
final class Budget {
    let limits: TemplateLimits
    /// The line that is being rendered, for error messages.
    var line = 1
    private var steps = 0
    private var depth = 0

    init(_ limits: TemplateLimits) { self.limits = limits }

    func charge(_ count: Int = 1) throws(TemplateError) {
        let (sum, overflow) = steps.addingReportingOverflow(count)
        guard !overflow, sum <= limits.steps else {
            throw .limitExceeded(limit: "steps", maximum: limits.steps, line: line)
        }
        steps = sum
    }

    /// Pays for making or searching `count` bytes of text, before the work is done.
    func charge(textBytes count: Int) throws(TemplateError) {
        guard count <= limits.outputBytes else {
            throw .limitExceeded(limit: "bytes of text", maximum: limits.outputBytes, line: line)
        }
        try charge(1 + count / 64)
    }

    /// Pays for `count` copies of something of `size` bytes.
    func charge(textBytes size: Int, times count: Int) throws(TemplateError) {
        let (product, overflow) = size.multipliedReportingOverflow(by: count)
        try charge(textBytes: overflow ? .max : product)
    }

    func enter() throws(TemplateError) {
        depth += 1
        guard depth <= limits.depth else {
            // The matching `leave` is not called when this throws.
            depth -= 1
            throw .limitExceeded(limit: "levels of depth", maximum: limits.depth, line: line)
        }
    }

    func leave() { depth -= 1 }

    // MARK: Containers

    private func containerDepth(_ elements: [Value]) throws(TemplateError) -> Int {
        try charge(1 + elements.count)
        var deepest = 0
        for element in elements {
            guard let depth = element.depth else {
                throw .unsupported(construct: "a \(element.typeName) inside a list or map", line: line)
            }
            deepest = max(deepest, depth)
        }
        guard deepest < limits.valueDepth else {
            throw .limitExceeded(limit: "lists and maps inside each other", maximum: limits.valueDepth, line: line)
        }
        return deepest + 1
    }

    func list(_ elements: [Value]) throws(TemplateError) -> Value {
        .list(ValueList(elements, depth: try containerDepth(elements)))
    }

    func tuple(_ elements: [Value]) throws(TemplateError) -> Value {
        .tuple(ValueList(elements, depth: try containerDepth(elements)))
    }

    /// The keys, values or items of a map; `part` says which.
    func view(_ elements: [Value], of part: String) throws(TemplateError) -> Value {
        .view(ValueList(elements, depth: try containerDepth(elements)), of: part)
    }

    func iterator(_ elements: [Value]) throws(TemplateError) -> Value {
        .iterator(ValueIterator(elements, depth: try containerDepth(elements)))
    }

    func map(_ entries: [ValueMap.Entry]) throws(TemplateError) -> Value {
        for entry in entries where MapKey(entry.key) == nil {
            throw typeError("a \(entry.key.typeName) cannot be a key of a map")
        }
        return .map(ValueMap(entries, depth: try containerDepth(entries.map(\.value))))
    }

    func typeError(_ message: String) -> TemplateError { .type(line: line, message: message) }

    func unsupported(_ construct: String) -> TemplateError { .unsupported(construct: construct, line: line) }
}
