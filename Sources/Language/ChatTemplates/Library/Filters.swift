/// What can follow `|`.
enum Filters {
    typealias Filter = @Sendable (Interpreter, Value, Arguments) throws(TemplateError) -> Value
    typealias Method = @Sendable (Interpreter, Arguments) throws(TemplateError) -> Value

    static let table: [String: Filter] = TextFilters.table
        .merging(SequenceFilters.table) { first, _ in first }
        .merging(values) { first, _ in first }

    /// Filters for any value, and for numbers.
    private static let values: [String: Filter] = [
        "default": useDefault,
        "d": useDefault,
        "tojson": { (interpreter, value, arguments) throws(TemplateError) in
            try toJSON(interpreter, value, arguments)
        },
        "attr": { (interpreter, value, arguments) throws(TemplateError) in
            guard let name = arguments[0, "name"]?.text else { throw interpreter.budget.typeError("attr needs a name") }
            if case .map = value, Methods.find(name, on: value) == nil { return .undefined(name) }
            return try interpreter.attribute(name, of: value)
        },
        "int": { (interpreter, value, arguments) throws(TemplateError) in
            try integer(interpreter, value, arguments)
        },
        "float": { (interpreter, value, arguments) throws(TemplateError) in
            try float(interpreter, value, arguments)
        },
        "abs": { (interpreter, value, _) throws(TemplateError) in
            guard let number = Budget.number(value) else {
                throw interpreter.budget.typeError("abs needs a number, not \(value.typeName)")
            }
            return number < 0 ? try interpreter.budget.negate(value) : value
        },
        "round": { (interpreter, value, arguments) throws(TemplateError) in
            try round(interpreter, value, arguments)
        },
    ]

    private static let useDefault: Filter = { (_, value, arguments) in
        let isMissing = value.isUndefined || (arguments[1, "boolean"]?.isTrue == true && !value.isTrue)
        return isMissing ? arguments[0, "default_value"] ?? .string("") : value
    }

    private static func toJSON(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        var style = JSONTextWriter.Style(itemSeparator: ", ")
        style.escapesNonASCII = arguments[0, "ensure_ascii"]?.isTrue ?? false
        switch arguments[1, "indent"] {
        case nil, Value.none?: break
        case let indent?:
            if let text = indent.text {
                style.indent = text
            } else if let width = Budget.integer(indent) {
                try interpreter.budget.charge(textBytes: max(width, 0))
                style.indent = String(repeating: " ", count: max(width, 0))
            } else {
                throw interpreter.budget.typeError("indent is an int or a str, not \(indent.typeName)")
            }
            style.itemSeparator = ","
        }
        if let separators = arguments[2, "separators"] {
            if case .none = separators {
            } else {
                let texts = try interpreter.budget.elements(separators).compactMap(\.text)
                guard texts.count == 2 else { throw interpreter.budget.typeError("separators are two strs") }
                (style.itemSeparator, style.keySeparator) = (texts[0], texts[1])
            }
        }
        style.sortsKeys = arguments[3, "sort_keys"]?.isTrue ?? false
        return .string(try JSONTextWriter.text(value, style, interpreter.budget))
    }

    /// Jinja's `int`: what cannot be read gives the default instead of an error.
    private static func integer(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let other = arguments[0, "default"] ?? .integer(0)
        if let text = value.text {
            try interpreter.budget.charge(textBytes: text.utf8.count)
            let digits = PythonText.strip(text, left: true, right: true)
            let radix = arguments[1, "base"].flatMap(Budget.integer) ?? 10
            guard (2...36).contains(radix) else { throw interpreter.budget.typeError("base is from 2 to 36") }
            if let integer = Int(digits, radix: radix) { return .integer(integer) }
            return Double(digits).flatMap(truncated) ?? other
        }
        switch value {
        case .bigInteger: return value
        case .float(let number): return truncated(number) ?? other
        default: return Budget.integer(value).map { .integer($0) } ?? other
        }
    }

    private static func truncated(_ number: Double) -> Value? {
        Int(exactly: number.rounded(.towardZero)).map { .integer($0) }
    }

    private static func float(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let other = arguments[0, "default"] ?? .float(0)
        if let text = value.text {
            try interpreter.budget.charge(textBytes: text.utf8.count)
            return Double(PythonText.strip(text, left: true, right: true)).map { .float($0) } ?? other
        }
        return Budget.number(value).map { .float($0) } ?? other
    }

    private static func round(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard let number = Budget.number(value) else {
            throw interpreter.budget.typeError("round needs a number, not \(value.typeName)")
        }
        let precision = arguments[0, "precision"].flatMap(Budget.integer) ?? 0
        guard (0...15).contains(precision) else { throw interpreter.budget.unsupported("a precision outside 0 to 15") }
        let method = arguments[1, "method"]?.text ?? "common"
        if method == "common" {
            try interpreter.budget.charge(2000)
            let isInteger = Budget.integer(value) != nil
            let rounded = Double(PythonNumber.fixed(number, decimals: precision)) ?? number
            return isInteger ? value : .float(rounded)
        }
        let scale = (0..<precision).reduce(1.0) { product, _ in product * 10 }
        guard method == "ceil" || method == "floor" else {
            throw interpreter.budget.typeError("the method of round is common, ceil or floor")
        }
        return .float((number * scale).rounded(method == "ceil" ? .up : .down) / scale)
    }
}
