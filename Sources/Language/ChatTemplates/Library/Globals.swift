/// The functions that every template can call.
enum Globals {
    static func value(_ name: String) -> Value? {
        functions[name].map { .function(NativeFunction(name, $0)) }
    }

    private static let functions: [String: Filters.Method] = [
        "range": { (interpreter, arguments) throws(TemplateError) in try range(interpreter.budget, arguments) },
        "dict": { (interpreter, arguments) throws(TemplateError) in try dict(interpreter.budget, arguments) },
        "namespace": { (interpreter, arguments) throws(TemplateError) in try namespace(interpreter, arguments) },
        "joiner": { (interpreter, arguments) throws(TemplateError) in try joiner(interpreter.budget, arguments) },
        "raise_exception": { (interpreter, arguments) throws(TemplateError) in
            throw .raised(message: try interpreter.budget.text(arguments[0, "message"] ?? .none))
        },
        "strftime_now": { (interpreter, arguments) throws(TemplateError) in
            try strftimeNow(interpreter, arguments)
        },
    ]

    private static func range(_ budget: Budget, _ arguments: Arguments) throws(TemplateError) -> Value {
        var bounds: [Int] = []
        for argument in arguments.positional {
            guard let bound = Budget.integer(argument) else {
                throw budget.typeError("range needs integers, not \(argument.typeName)")
            }
            bounds.append(bound)
        }
        guard (1...3).contains(bounds.count) else { throw budget.typeError("range takes one to three integers") }
        let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw budget.typeError("the step of range is zero") }
        let count = step > 0 ? count(from: start, to: stop, by: step) : count(from: stop, to: start, by: 0 &- step)
        guard count <= budget.limits.rangeItems else {
            throw .limitExceeded(
                limit: "items of a range", maximum: budget.limits.rangeItems, line: budget.line)
        }
        return try budget.list((0..<count).map { .integer(start + $0 * step) })
    }

    private static func count(from start: Int, to stop: Int, by step: Int) -> Int {
        guard stop > start else { return 0 }
        let (distance, overflow) = stop.subtractingReportingOverflow(start)
        // The most negative step, negated, stays negative: it takes one element.
        guard !overflow else { return .max }
        return step < 0 ? 1 : (distance - 1) / step + 1
    }

    private static func dict(_ budget: Budget, _ arguments: Arguments) throws(TemplateError) -> Value {
        var entries: [ValueMap.Entry] = []
        if let first = arguments.positional.first {
            if case .map(let map) = first {
                entries = map.entries
            } else {
                for pair in try budget.elements(first) {
                    let items = try budget.elements(pair)
                    guard items.count == 2 else { throw budget.typeError("dict needs pairs") }
                    entries.append((items[0], items[1]))
                }
            }
        }
        for (name, value) in arguments.keywords { entries.append((.string(name), value)) }
        return try budget.map(entries)
    }

    private static func namespace(_ interpreter: Interpreter, _ arguments: Arguments) throws(TemplateError) -> Value {
        let namespace = try interpreter.makeNamespace()
        guard case .map(let map) = try dict(interpreter.budget, arguments) else { return .none }
        for entry in map.entries {
            namespace.attributes[try interpreter.budget.text(entry.key)] = entry.value
        }
        return .namespace(namespace)
    }

    /// A function that gives nothing the first time and the separator from then on.
    private static func joiner(_ budget: Budget, _ arguments: Arguments) throws(TemplateError) -> Value {
        let separator = try budget.text(arguments[0, "sep"] ?? .string(", "))
        var isUsed = false
        return .function(
            NativeFunction("joiner") { (_, _) throws(TemplateError) in
                defer { isUsed = true }
                return .string(isUsed ? separator : "")
            })
    }

    private static func strftimeNow(
        _ interpreter: Interpreter, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard let pattern = arguments[0, "format"]?.text else {
            throw interpreter.budget.typeError("strftime_now needs a str")
        }
        try interpreter.budget.charge(textBytes: pattern.utf8.count, times: 8)
        let (text, unknown) = interpreter.now.formatted(pattern)
        if unknown != nil { throw interpreter.budget.unsupported("a directive of strftime_now") }
        return .string(text)
    }
}
