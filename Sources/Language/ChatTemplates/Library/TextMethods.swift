/// The methods of text that take arguments.
enum TextMethods {
    enum Alignment {
        case left
        case right
        case center
    }

    /// The receiver and its first argument, which must be text; both are paid for.
    private static func texts(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, _ name: String
    ) throws(TemplateError) -> (text: String, argument: String) {
        let text = value.text ?? ""
        guard let argument = arguments[0, name]?.text else {
            let type = arguments[0, name]?.typeName ?? "nothing"
            throw interpreter.budget.typeError("a method of text needs a str, not \(type)")
        }
        try interpreter.budget.charge(textBytes: text.utf8.count + argument.utf8.count)
        return (text, argument)
    }

    private static func integer(
        _ interpreter: Interpreter, _ value: Value?, default other: Int
    ) throws(TemplateError) -> Int {
        guard let value else { return other }
        if case .none = value { return other }
        guard let integer = Budget.integer(value) else {
            throw interpreter.budget.typeError("a method of text needs an int, not \(value.typeName)")
        }
        return integer
    }

    static func strip(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, left: Bool, right: Bool
    ) throws(TemplateError) -> Value {
        let text = value.text ?? ""
        try interpreter.budget.charge(textBytes: text.utf8.count)
        if let argument = arguments[0, "chars"], case .none = argument {
        } else if arguments[0, "chars"] != nil {
            let characters = Set(try texts(interpreter, value, arguments, "chars").argument.unicodeScalars)
            return value.rewrapping(PythonText.strip(text, left: left, right: right, where: characters.contains))
        }
        return value.rewrapping(PythonText.strip(text, left: left, right: right))
    }

    static func hasAffix(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, atStart: Bool
    ) throws(TemplateError) -> Value {
        let candidates: [Value]
        if case .tuple(let items)? = arguments.positional.first {
            candidates = items.elements
        } else {
            candidates = Array(arguments.positional.prefix(1))
        }
        if candidates.isEmpty, arguments.positional.isEmpty {
            throw interpreter.budget.typeError("a method of text needs a str, not nothing")
        }
        for candidate in candidates {
            let (text, affix) = try texts(interpreter, value, Arguments(positional: [candidate]), "prefix")
            if has(text, affix, atStart: atStart) { return .boolean(true) }
        }
        return .boolean(false)
    }

    private static func has(_ text: String, _ affix: String, atStart: Bool) -> Bool {
        atStart ? text.utf8.starts(with: affix.utf8) : text.utf8.reversed().starts(with: affix.utf8.reversed())
    }

    static func removeAffix(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, atStart: Bool
    ) throws(TemplateError) -> Value {
        let (text, affix) = try texts(interpreter, value, arguments, "prefix")
        guard has(text, affix, atStart: atStart) else { return value }
        let bytes = Array(text.utf8)
        let rest = atStart ? bytes.dropFirst(affix.utf8.count) : bytes.dropLast(affix.utf8.count)
        return value.rewrapping(String(decoding: rest, as: UTF8.self))
    }

    /// Where `part` is, for methods that need it not empty.
    private static func matches(
        _ interpreter: Interpreter, _ text: String, _ part: String, limit: Int = .max, fromRight: Bool = false
    ) throws(TemplateError) -> [Int] {
        guard !part.isEmpty else { throw interpreter.budget.typeError("empty separator") }
        let (bytes, needle) = (Array(text.utf8), Array(part.utf8))
        return fromRight
            ? TextSearch.matchesFromRight(of: needle, in: bytes, limit: limit)
            : TextSearch(needle).matches(in: bytes, limit: limit)
    }

    /// The pieces between cuts of `length` bytes at `starts`.
    private static func pieces(_ text: String, starts: [Int], length: Int) -> [String] {
        let bytes = Array(text.utf8)
        var pieces: [String] = []
        var position = 0
        for start in starts {
            pieces.append(String(decoding: bytes[position..<start], as: UTF8.self))
            position = start + length
        }
        pieces.append(String(decoding: bytes[position...], as: UTF8.self))
        return pieces
    }

    static func split(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, fromRight: Bool
    ) throws(TemplateError) -> Value {
        let limit = try integer(interpreter, arguments[1, "maxsplit"], default: -1)
        let cuts = limit < 0 ? Int.max : limit
        var isAtSpace = arguments[0, "sep"] == nil
        if case .none? = arguments[0, "sep"] { isAtSpace = true }
        let parts: [String]
        if isAtSpace {
            let text = value.text ?? ""
            try interpreter.budget.charge(textBytes: text.utf8.count)
            if fromRight, cuts < .max { throw interpreter.budget.unsupported("rsplit at white space with a limit") }
            parts = PythonText.splitAtSpace(text, limit: cuts)
        } else {
            let (text, separator) = try texts(interpreter, value, arguments, "sep")
            let starts = try matches(interpreter, text, separator, limit: cuts, fromRight: fromRight)
            parts = pieces(text, starts: starts, length: separator.utf8.count)
        }
        return try interpreter.budget.list(parts.map { value.rewrapping($0) })
    }

    static func partition(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, fromRight: Bool
    ) throws(TemplateError) -> Value {
        let (text, separator) = try texts(interpreter, value, arguments, "sep")
        let starts = try matches(interpreter, text, separator, limit: 1, fromRight: fromRight)
        var parts = pieces(text, starts: starts, length: separator.utf8.count)
        if parts.count == 2 {
            parts.insert(separator, at: 1)
        } else {
            parts = fromRight ? ["", "", text] : [text, "", ""]
        }
        return try interpreter.budget.tuple(parts.map { value.rewrapping($0) })
    }

    static func splitLines(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard arguments[0, "keepends"]?.isTrue != true else {
            throw interpreter.budget.unsupported("splitlines with keepends")
        }
        let text = value.text ?? ""
        try interpreter.budget.charge(textBytes: text.utf8.count)
        return try interpreter.budget.list(PythonText.splitLines(text).map { value.rewrapping($0) })
    }

    static func replace(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let (text, old) = try texts(interpreter, value, arguments, "old")
        guard let new = arguments[1, "new"]?.text else {
            throw interpreter.budget.typeError("replace needs two strs")
        }
        let limit = try integer(interpreter, arguments[2, "count"], default: -1)
        return value.rewrapping(try replace(interpreter, text, old, new, limit: limit < 0 ? .max : limit))
    }

    static func replace(
        _ interpreter: Interpreter, _ text: String, _ old: String, _ new: String, limit: Int
    ) throws(TemplateError) -> String {
        let parts: [String]
        if old.isEmpty {
            // Python puts the new text before every character and at the end.
            let characters = text.unicodeScalars.map { String(Character($0)) }
            let cuts = min(limit, characters.count + 1)
            guard cuts > 0 else { return text }
            let rest = characters[(cuts - 1)...].joined()
            parts = [""] + characters.prefix(cuts - 1) + [rest]
        } else {
            let starts = try matches(interpreter, text, old, limit: limit)
            parts = pieces(text, starts: starts, length: old.utf8.count)
        }
        try interpreter.budget.charge(parts.count)
        try interpreter.budget.charge(textBytes: new.utf8.count, times: parts.count - 1)
        try interpreter.budget.charge(textBytes: text.utf8.count + new.utf8.count * (parts.count - 1))
        return parts.joined(separator: new)
    }

    static func join(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard let items = arguments.positional.first else { throw interpreter.budget.typeError("join needs a list") }
        var parts: [String] = []
        for item in try interpreter.budget.elements(items) {
            guard let part = item.text else {
                throw interpreter.budget.typeError("join needs strs, not \(item.typeName)")
            }
            parts.append(part)
        }
        return value.rewrapping(try joined(interpreter.budget, parts, separator: value.text ?? ""))
    }

    static func joined(_ budget: Budget, _ parts: [String], separator: String) throws(TemplateError) -> String {
        try budget.charge(textBytes: separator.utf8.count, times: parts.count)
        var size = separator.utf8.count * parts.count
        for part in parts {
            size += part.utf8.count
            try budget.charge(textBytes: size, times: size > budget.limits.outputBytes ? 1 : 0)
        }
        try budget.charge(textBytes: size)
        return parts.joined(separator: separator)
    }

    static func count(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let (text, part) = try texts(interpreter, value, arguments, "sub")
        if part.isEmpty { return .integer(text.unicodeScalars.count + 1) }
        return .integer(try matches(interpreter, text, part).count)
    }

    static func find(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, fromRight: Bool
    ) throws(TemplateError) -> Value {
        guard arguments.positional.count == 1 else { throw interpreter.budget.unsupported("find with bounds") }
        let (text, part) = try texts(interpreter, value, arguments, "sub")
        if part.isEmpty { return .integer(fromRight ? text.unicodeScalars.count : 0) }
        guard let start = try matches(interpreter, text, part, limit: 1, fromRight: fromRight).first else {
            return .integer(-1)
        }
        let before = Array(text.utf8)[..<start]
        return .integer(String(decoding: before, as: UTF8.self).unicodeScalars.count)
    }

    static func index(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, fromRight: Bool
    ) throws(TemplateError) -> Value {
        let place = try find(interpreter, value, arguments, fromRight: fromRight)
        if case .integer(-1) = place { throw interpreter.budget.typeError("substring not found") }
        return place
    }

    static func pad(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments, _ alignment: Alignment
    ) throws(TemplateError) -> Value {
        let width = try integer(interpreter, arguments[0, "width"], default: 0)
        let fill = arguments[1, "fillchar"]?.text ?? " "
        guard fill.unicodeScalars.count == 1 else { throw interpreter.budget.typeError("the fill is one character") }
        return value.rewrapping(try pad(interpreter.budget, value.text ?? "", width, fill, alignment))
    }

    static func pad(
        _ budget: Budget, _ text: String, _ width: Int, _ fill: String, _ alignment: Alignment
    ) throws(TemplateError) -> String {
        let missing = max(0, width - text.unicodeScalars.count)
        try budget.charge(textBytes: fill.utf8.count, times: missing)
        try budget.charge(textBytes: text.utf8.count)
        func filling(_ count: Int) -> String { String(repeating: fill, count: count) }
        switch alignment {
        case .left: return text + filling(missing)
        case .right: return filling(missing) + text
        case .center:
            // Python gives the odd blank to the left when both the gap and the width are odd.
            let left = missing / 2 + (missing & width & 1)
            return filling(left) + text + filling(missing - left)
        }
    }

    static func zeroFill(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let width = try integer(interpreter, arguments[0, "width"], default: 0)
        let text = value.text ?? ""
        let hasSign = text.utf8.first == UInt8(ascii: "-") || text.utf8.first == UInt8(ascii: "+")
        let sign = hasSign ? String(text.unicodeScalars.prefix(1)) : ""
        let digits = String(text.unicodeScalars.dropFirst(sign.unicodeScalars.count))
        let padded = try pad(interpreter.budget, digits, width - (hasSign ? 1 : 0), "0", .right)
        return value.rewrapping(sign + padded)
    }
}
