/// The methods of text, lists and maps.
enum Methods {
    typealias Method = @Sendable (Interpreter, Value, Arguments) throws(TemplateError) -> Value

    static func find(_ name: String, on value: Value) -> Method? {
        switch value {
        case .string, .markup: text[name]
        case .list, .tuple: sequence[name]
        case .map: map[name]
        default: nil
        }
    }

    /// Methods of Python's containers that would change them: Jinja's sandbox refuses them too.
    static let changing: Set<String> = [
        "append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update",
    ]

    static func isContainer(_ value: Value) -> Bool {
        switch value {
        case .list, .map: true
        default: false
        }
    }

    // MARK: Maps and lists

    private static let map: [String: Method] = [
        "get": { (interpreter, value, arguments) throws(TemplateError) in
            guard case .map(let map) = value, let key = arguments[0, "key"] else {
                throw interpreter.budget.typeError("get needs a key")
            }
            guard MapKey(key) != nil else {
                throw interpreter.budget.typeError("a \(key.typeName) cannot be a key of a map")
            }
            return map[key] ?? arguments[1, "default"] ?? .none
        },
        "keys": { (interpreter, value, _) throws(TemplateError) in
            try interpreter.budget.view(entries(value).map(\.key), of: "keys")
        },
        "values": { (interpreter, value, _) throws(TemplateError) in
            try interpreter.budget.view(entries(value).map(\.value), of: "values")
        },
        "items": { (interpreter, value, _) throws(TemplateError) in
            try interpreter.budget.view(try pairs(interpreter.budget, value), of: "items")
        },
        "copy": { (_, value, _) in value },
    ]

    static func entries(_ value: Value) -> [ValueMap.Entry] {
        if case .map(let map) = value { return map.entries }
        return []
    }

    static func pairs(_ budget: Budget, _ value: Value) throws(TemplateError) -> [Value] {
        var pairs: [Value] = []
        for entry in entries(value) { pairs.append(try budget.tuple([entry.key, entry.value])) }
        return pairs
    }

    private static let sequence: [String: Method] = [
        "index": { (interpreter, value, arguments) throws(TemplateError) in
            guard let wanted = arguments.positional.first else {
                throw interpreter.budget.typeError("index needs a value")
            }
            for (index, element) in try interpreter.budget.elements(value).enumerated()
            where try interpreter.budget.areEqual(element, wanted) {
                return .integer(index)
            }
            throw interpreter.budget.typeError("the value is not in the list")
        },
        "count": { (interpreter, value, arguments) throws(TemplateError) in
            guard let wanted = arguments.positional.first else {
                throw interpreter.budget.typeError("count needs a value")
            }
            var count = 0
            for element in try interpreter.budget.elements(value)
            where try interpreter.budget.areEqual(element, wanted) {
                count += 1
            }
            return .integer(count)
        },
    ]

    // MARK: Text

    /// A method that gets its own text and gives new text of the same kind.
    private static func rewriting(_ body: @escaping @Sendable (String) -> String) -> Method {
        { (interpreter, value, _) throws(TemplateError) in
            let text = value.text ?? ""
            try interpreter.budget.charge(textBytes: text.utf8.count)
            return value.rewrapping(body(text))
        }
    }

    private static func asking(_ body: @escaping @Sendable (String) -> Bool) -> Method {
        { (interpreter, value, _) throws(TemplateError) in
            let text = value.text ?? ""
            try interpreter.budget.charge(textBytes: text.utf8.count)
            return .boolean(body(text))
        }
    }

    private static func all(_ condition: @escaping @Sendable (Unicode.Scalar.Properties) -> Bool) -> Method {
        asking { !$0.isEmpty && $0.unicodeScalars.allSatisfy { condition($0.properties) } }
    }

    static func isLower(_ text: String) -> Bool {
        let cased = text.unicodeScalars.filter { $0.properties.isCased }
        return !cased.isEmpty && cased.allSatisfy { $0.properties.isLowercase }
    }

    static func isUpper(_ text: String) -> Bool {
        let cased = text.unicodeScalars.filter { $0.properties.isCased }
        return !cased.isEmpty && cased.allSatisfy { $0.properties.isUppercase }
    }

    private static let text: [String: Method] = [
        "upper": rewriting { $0.uppercased() },
        "lower": rewriting { $0.lowercased() },
        "casefold": rewriting { $0.lowercased() },
        "title": rewriting(PythonText.title),
        "capitalize": rewriting(PythonText.capitalize),
        "swapcase": rewriting {
            $0.unicodeScalars.map {
                $0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
            }.joined()
        },
        "isupper": asking(isUpper),
        "islower": asking(isLower),
        "isspace": asking { !$0.isEmpty && $0.unicodeScalars.allSatisfy(PythonText.isSpace) },
        "isascii": asking { $0.utf8.allSatisfy { $0 < 0x80 } },
        "isalpha": all(\.isLetter),
        "isalnum": all { $0.isLetter || $0.numericType != nil },
        "isdigit": all { $0.numericType == .decimal || $0.numericType == .digit },
        "isdecimal": all { $0.numericType == .decimal },
        "isnumeric": all { $0.numericType != nil },
        "strip": { (i, v, a) throws(TemplateError) in try TextMethods.strip(i, v, a, left: true, right: true) },
        "lstrip": { (i, v, a) throws(TemplateError) in try TextMethods.strip(i, v, a, left: true, right: false) },
        "rstrip": { (i, v, a) throws(TemplateError) in try TextMethods.strip(i, v, a, left: false, right: true) },
        "startswith": { (i, v, a) throws(TemplateError) in try TextMethods.hasAffix(i, v, a, atStart: true) },
        "endswith": { (i, v, a) throws(TemplateError) in try TextMethods.hasAffix(i, v, a, atStart: false) },
        "removeprefix": { (i, v, a) throws(TemplateError) in try TextMethods.removeAffix(i, v, a, atStart: true) },
        "removesuffix": { (i, v, a) throws(TemplateError) in try TextMethods.removeAffix(i, v, a, atStart: false) },
        "split": { (i, v, a) throws(TemplateError) in try TextMethods.split(i, v, a, fromRight: false) },
        "rsplit": { (i, v, a) throws(TemplateError) in try TextMethods.split(i, v, a, fromRight: true) },
        "partition": { (i, v, a) throws(TemplateError) in try TextMethods.partition(i, v, a, fromRight: false) },
        "rpartition": { (i, v, a) throws(TemplateError) in try TextMethods.partition(i, v, a, fromRight: true) },
        "splitlines": { (i, v, a) throws(TemplateError) in try TextMethods.splitLines(i, v, a) },
        "replace": { (i, v, a) throws(TemplateError) in try TextMethods.replace(i, v, a) },
        "join": { (i, v, a) throws(TemplateError) in try TextMethods.join(i, v, a) },
        "count": { (i, v, a) throws(TemplateError) in try TextMethods.count(i, v, a) },
        "find": { (i, v, a) throws(TemplateError) in try TextMethods.find(i, v, a, fromRight: false) },
        "rfind": { (i, v, a) throws(TemplateError) in try TextMethods.find(i, v, a, fromRight: true) },
        "index": { (i, v, a) throws(TemplateError) in try TextMethods.index(i, v, a, fromRight: false) },
        "rindex": { (i, v, a) throws(TemplateError) in try TextMethods.index(i, v, a, fromRight: true) },
        "ljust": { (i, v, a) throws(TemplateError) in try TextMethods.pad(i, v, a, .left) },
        "rjust": { (i, v, a) throws(TemplateError) in try TextMethods.pad(i, v, a, .right) },
        "center": { (i, v, a) throws(TemplateError) in try TextMethods.pad(i, v, a, .center) },
        "zfill": { (i, v, a) throws(TemplateError) in try TextMethods.zeroFill(i, v, a) },
        "format": { (i, v, a) throws(TemplateError) in
            v.rewrapping(try PythonFormat.braces(v.text ?? "", a, i))
        },
    ]
}

extension Unicode.Scalar.Properties {
    /// Python's letters: the general categories L*.
    var isLetter: Bool {
        switch generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
}
