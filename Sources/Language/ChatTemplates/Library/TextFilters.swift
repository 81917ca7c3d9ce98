/// Filters that give text.
enum TextFilters {
    static let table: [String: Filters.Filter] = [
        "string": { (interpreter, value, _) throws(TemplateError) in
            if case .markup = value { return value }
            return .string(try interpreter.budget.text(value))
        },
        "safe": { (interpreter, value, _) throws(TemplateError) in .markup(try interpreter.budget.text(value)) },
        "escape": escape,
        "e": escape,
        "forceescape": { (interpreter, value, _) throws(TemplateError) in
            .markup(PythonText.escapeHTML(try paidText(interpreter, value)))
        },
        "upper": rewriting { $0.uppercased() },
        "lower": rewriting { $0.lowercased() },
        "capitalize": rewriting(PythonText.capitalize),
        "title": rewriting(title),
        "trim": { (interpreter, value, arguments) throws(TemplateError) in
            let text = Value.string(try interpreter.budget.text(value))
            let result = try TextMethods.strip(interpreter, text, arguments, left: true, right: true)
            return value.rewrapping(result.text ?? "")
        },
        "replace": { (interpreter, value, arguments) throws(TemplateError) in
            try replace(interpreter, value, arguments)
        },
        "format": { (interpreter, value, arguments) throws(TemplateError) in
            let values =
                arguments.keywords.isEmpty
                ? try interpreter.budget.tuple(arguments.positional)
                : try interpreter.budget.map(arguments.keywords.map { (.string($0.name), $0.value) })
            return value.rewrapping(
                try PythonFormat.percent(try interpreter.budget.text(value), values, interpreter.budget))
        },
        "indent": { (interpreter, value, arguments) throws(TemplateError) in
            try indent(interpreter, value, arguments)
        },
        "center": { (interpreter, value, arguments) throws(TemplateError) in
            let width = arguments[0, "width"].flatMap(Budget.integer) ?? 80
            return value.rewrapping(
                try TextMethods.pad(interpreter.budget, try interpreter.budget.text(value), width, " ", .center))
        },
        "truncate": { (interpreter, value, arguments) throws(TemplateError) in
            try truncate(interpreter, value, arguments)
        },
        "wordcount": { (interpreter, value, _) throws(TemplateError) in
            let words = try paidText(interpreter, value).unicodeScalars.split { !isWord($0) }
            return .integer(words.count)
        },
    ]

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isLetter || scalar.properties.numericType != nil
    }

    private static func paidText(_ interpreter: Interpreter, _ value: Value) throws(TemplateError) -> String {
        let text = try interpreter.budget.text(value)
        try interpreter.budget.charge(textBytes: text.utf8.count)
        return text
    }

    private static func rewriting(_ body: @escaping @Sendable (String) -> String) -> Filters.Filter {
        { (interpreter, value, _) throws(TemplateError) in
            value.rewrapping(body(try paidText(interpreter, value)))
        }
    }

    private static let escape: Filters.Filter = { (interpreter, value, _) throws(TemplateError) in
        if case .markup = value { return value }
        return .markup(PythonText.escapeHTML(try paidText(interpreter, value)))
    }

    /// Jinja's `title`: unlike Python's, only white space and opening brackets and hyphens begin a word.
    private static func title(_ text: String) -> String {
        var result = ""
        var isWordStart = true
        for scalar in text.unicodeScalars {
            result += isWordStart ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
            isWordStart = PythonText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
        }
        return result
    }

    private static func replace(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard let old = arguments[0, "old"], let new = arguments[1, "new"] else {
            throw interpreter.budget.typeError("replace needs two strs")
        }
        let limit = arguments[2, "count"].flatMap(Budget.integer) ?? -1
        let text = try TextMethods.replace(
            interpreter, try paidText(interpreter, value), try interpreter.budget.text(old),
            try interpreter.budget.text(new), limit: limit < 0 ? .max : limit)
        return value.rewrapping(text)
    }

    private static func indent(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let width = arguments[0, "width"] ?? .integer(4)
        let spaces = max(Budget.integer(width) ?? 0, 0)
        try interpreter.budget.charge(textBytes: spaces)
        let indention = width.text ?? String(repeating: " ", count: spaces)
        let isFirstIndented = arguments[1, "first"]?.isTrue ?? false
        let areBlanksIndented = arguments[2, "blank"]?.isTrue ?? false
        // The added newline keeps an empty last line.
        var lines = PythonText.splitLines(try paidText(interpreter, value) + "\n")
        for index in lines.indices where index > 0 ? areBlanksIndented || !lines[index].isEmpty : isFirstIndented {
            try interpreter.budget.charge(textBytes: indention.utf8.count)
            lines[index] = indention + lines[index]
        }
        return value.rewrapping(try TextMethods.joined(interpreter.budget, lines, separator: "\n"))
    }

    private static func truncate(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let scalars = Array(try paidText(interpreter, value).unicodeScalars)
        let length = arguments[0, "length"].flatMap(Budget.integer) ?? 255
        let end = arguments[2, "end"]?.text ?? "..."
        let leeway = arguments[3, "leeway"].flatMap(Budget.integer) ?? 5
        let endCount = end.unicodeScalars.count
        guard length >= endCount, leeway >= 0 else {
            throw interpreter.budget.typeError("the length of truncate is too small")
        }
        guard scalars.count > length, scalars.count - length > leeway else { return value }
        var kept = scalars[..<(length - endCount)]
        if arguments[1, "killwords"]?.isTrue != true, let space = kept.lastIndex(of: " ") { kept = kept[..<space] }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: kept)
        return value.rewrapping(String(result) + end)
    }
}
