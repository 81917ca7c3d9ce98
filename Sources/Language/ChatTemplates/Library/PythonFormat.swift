/// Python's two ways to format: `"%s" % value` and `"{}".format(value)`.
enum PythonFormat {
    /// How one value is written.
    struct Specification {
        var fill = " "
        var alignment: Character?
        var sign: Character = "-"
        var isZeroPadded = false
        var width = 0
        var groups = ""
        var precision: Int?
        var type: Character?
    }

    // MARK: percent

    static func percent(_ format: String, _ argument: Value, _ budget: Budget) throws(TemplateError) -> String {
        try budget.charge(textBytes: format.utf8.count)
        var values: [Value] = [argument]
        if case .tuple(let items) = argument { values = items.elements }
        var nextValue = 0
        var result = ""
        var rest = format.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            if rest.first == "%" {
                rest.removeFirst()
                result += "%"
                continue
            }
            var named: Value?
            if rest.first == "(" {
                let name = rest.dropFirst().prefix { $0 != ")" }
                rest = rest[name.endIndex...].dropFirst()
                guard case .map(let map) = argument, let value = map[String(name)] else {
                    throw budget.typeError("a format needs a map with the names that it uses")
                }
                named = value
            }
            let specification = try percentSpecification(&rest, budget)
            if named == nil {
                guard nextValue < values.count else { throw budget.typeError("not enough values for a format") }
                named = values[nextValue]
                nextValue += 1
            }
            let text = try write(named ?? .none, specification, budget)
            try budget.charge(textBytes: result.utf8.count + text.utf8.count)
            result += text
        }
        if case .map = argument { return result }
        guard nextValue == values.count else { throw budget.typeError("not all values are used by a format") }
        return result
    }

    private static func percentSpecification(
        _ rest: inout Substring.UnicodeScalarView, _ budget: Budget
    ) throws(TemplateError) -> Specification {
        var specification = Specification()
        specification.alignment = ">"
        while let flag = rest.first, "-+ 0#".unicodeScalars.contains(flag) {
            rest.removeFirst()
            switch flag {
            case "-": specification.alignment = "<"
            case "0": specification.isZeroPadded = true
            case "#": throw budget.unsupported("'#' in a format")
            default: specification.sign = Character(flag)
            }
        }
        specification.width = number(&rest) ?? 0
        if rest.first == "." {
            rest.removeFirst()
            specification.precision = number(&rest) ?? 0
        }
        guard let type = rest.popFirst() else { throw budget.typeError("a format ends in the middle") }
        specification.type = Character(type)
        if specification.isZeroPadded, specification.alignment == ">" { specification.alignment = nil }
        return specification
    }

    private static func number(_ rest: inout Substring.UnicodeScalarView) -> Int? {
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest = rest[digits.endIndex...]
        return digits.isEmpty ? nil : Int(String(digits)) ?? .max
    }

    // MARK: braces

    static func braces(_ format: String, _ arguments: Arguments, _ interpreter: Interpreter) throws(TemplateError)
        -> String
    {
        let budget = interpreter.budget
        try budget.charge(textBytes: format.utf8.count)
        var nextValue = 0
        var result = ""
        var rest = format.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            if scalar == rest.first, scalar == "{" || scalar == "}" {
                rest.removeFirst()
                result.unicodeScalars.append(scalar)
            } else if scalar == "}" {
                throw budget.typeError("a format has a single '}'")
            } else if scalar == "{" {
                let field = rest.prefix { $0 != "}" && $0 != "{" }
                rest = rest[field.endIndex...]
                guard rest.popFirst() == "}" else { throw budget.unsupported("a field inside a field of a format") }
                let text = try self.field(String(field), arguments, &nextValue, interpreter)
                try budget.charge(textBytes: result.utf8.count + text.utf8.count)
                result += text
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// One field: `name!conversion:specification`, each part optional.
    private static func field(
        _ field: String, _ arguments: Arguments, _ nextValue: inout Int, _ interpreter: Interpreter
    ) throws(TemplateError) -> String {
        let budget = interpreter.budget
        let parts = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "!", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(names[0])
        var value: Value?
        if name.isEmpty {
            value = nextValue < arguments.positional.count ? arguments.positional[nextValue] : nil
            nextValue += 1
        } else if let index = Int(name) {
            value = arguments.positional.indices.contains(index) ? arguments.positional[index] : nil
        } else if name.utf8.contains(where: { ".[".utf8.contains($0) }) {
            throw budget.unsupported("access to members in a format")
        } else {
            value = arguments[name]
        }
        guard let value else { throw budget.typeError("not enough values for a format") }
        var specification = try parse(parts.count > 1 ? parts[1] : "", budget)
        if names.count > 1 {
            guard names[1] == "r" || names[1] == "s" else { throw budget.unsupported("'!\(names[1])' in a format") }
            specification.type = Character(String(names[1]))
        }
        return try write(value, specification, budget)
    }

    /// `[[fill]align][sign][0][width][,][.precision][type]`.
    private static func parse(_ text: Substring, _ budget: Budget) throws(TemplateError) -> Specification {
        var specification = Specification()
        var rest = text.unicodeScalars
        let alignments = "<>^=".unicodeScalars
        if let second = rest.dropFirst().first, alignments.contains(second), let fill = rest.first {
            specification.fill = String(Character(fill))
            specification.alignment = Character(second)
            rest.removeFirst(2)
        } else if let first = rest.first, alignments.contains(first) {
            specification.alignment = Character(first)
            rest.removeFirst()
        }
        if let sign = rest.first, "+- ".unicodeScalars.contains(sign) {
            specification.sign = Character(sign)
            rest.removeFirst()
        }
        if rest.first == "0" {
            specification.isZeroPadded = true
            rest.removeFirst()
        }
        specification.width = number(&rest) ?? 0
        if rest.first == "," || rest.first == "_" { specification.groups = String(Character(rest.removeFirst())) }
        if rest.first == "." {
            rest.removeFirst()
            specification.precision = number(&rest)
        }
        if let type = rest.popFirst() { specification.type = Character(type) }
        guard rest.isEmpty else { throw budget.unsupported("a part of a format's field") }
        return specification
    }

    // MARK: One value

    private static func write(
        _ value: Value, _ specification: Specification, _ budget: Budget
    ) throws(TemplateError) -> String {
        let isNumber = Budget.number(value) != nil
        var text: String
        var isAlignedRight = isNumber
        switch specification.type {
        case "s":
            isAlignedRight = false
            text = try budget.text(value)
        case "r": text = try budget.representation(value)
        case nil: text = try budget.text(value)
        case "d", "i", "u": text = try integerText(value, budget)
        case "f", "F": text = try decimalText(value, specification.precision ?? 6, budget)
        case "%":
            text =
                try decimalText(
                    try budget.calculate(.multiply, value, .integer(100)), specification.precision ?? 6, budget) + "%"
        case "x", "X", "o", "b": text = try radixText(value, specification.type, budget)
        case "c": text = try characterText(value, budget)
        case let type?: throw budget.unsupported("'\(type)' in a format")
        }
        if !isNumber || specification.type == "s", let precision = specification.precision {
            text = String(text.unicodeScalars.prefix(precision))
        }
        guard isNumber, specification.type != "s", specification.type != "r" else {
            return try align(text, sign: "", specification, isAlignedRight, budget)
        }
        let isNegative = text.hasPrefix("-")
        if isNegative { text.removeFirst() }
        if !specification.groups.isEmpty { text = grouped(text, specification.groups) }
        let sign = isNegative ? "-" : specification.sign == "-" ? "" : String(specification.sign)
        return try align(text, sign: sign, specification, isAlignedRight, budget)
    }

    private static func align(
        _ text: String, sign: String, _ specification: Specification, _ isAlignedRight: Bool, _ budget: Budget
    ) throws(TemplateError) -> String {
        if specification.isZeroPadded && specification.alignment == nil || specification.alignment == "=" {
            let fill = specification.alignment == nil ? "0" : specification.fill
            return sign + (try TextMethods.pad(budget, text, specification.width - sign.count, fill, .right))
        }
        let alignment: TextMethods.Alignment
        switch specification.alignment {
        case "<": alignment = .left
        case "^": alignment = .center
        case ">": alignment = .right
        default: alignment = isAlignedRight ? .right : .left
        }
        if alignment == .center {
            // Unlike `str.center`, a format gives the odd blank to the right.
            let missing = max(0, specification.width - (sign + text).unicodeScalars.count)
            let left = try TextMethods.pad(budget, "", missing / 2, specification.fill, .left)
            return left + sign + text
                + (try TextMethods.pad(budget, "", missing - missing / 2, specification.fill, .left))
        }
        return try TextMethods.pad(budget, sign + text, specification.width, specification.fill, alignment)
    }

    private static func integerText(_ value: Value, _ budget: Budget) throws(TemplateError) -> String {
        if case .float(let number) = value, let integer = Int(exactly: number.rounded(.towardZero)) {
            return String(integer)
        }
        if let integer = Budget.integer(value) { return String(integer) }
        guard case .bigInteger(let digits) = value else {
            throw budget.typeError("a format needs a number, not \(value.typeName)")
        }
        return digits
    }

    private static func decimalText(_ value: Value, _ decimals: Int, _ budget: Budget) throws(TemplateError) -> String {
        guard let number = Budget.number(value) else {
            throw budget.typeError("a format needs a number, not \(value.typeName)")
        }
        guard decimals <= 100 else { throw budget.unsupported("more than 100 decimals in a format") }
        try budget.charge(2000)
        return PythonNumber.fixed(number, decimals: decimals)
    }

    private static func radixText(_ value: Value, _ type: Character?, _ budget: Budget) throws(TemplateError) -> String
    {
        guard let integer = Budget.integer(value) else {
            throw budget.typeError("a format needs an int, not \(value.typeName)")
        }
        let radix = type == "o" ? 8 : type == "b" ? 2 : 16
        return String(integer, radix: radix, uppercase: type == "X")
    }

    private static func characterText(_ value: Value, _ budget: Budget) throws(TemplateError) -> String {
        if let text = value.text, text.unicodeScalars.count == 1 { return text }
        guard let integer = Budget.integer(value), let code = UInt32(exactly: integer),
            let scalar = Unicode.Scalar(code)
        else {
            throw budget.typeError("a format needs one character")
        }
        return String(Character(scalar))
    }

    private static func grouped(_ digits: String, _ separator: String) -> String {
        let parts = digits.split(separator: ".", maxSplits: 1)
        var result = ""
        for (index, digit) in parts[0].enumerated() {
            if index > 0, (parts[0].count - index) % 3 == 0 { result += separator }
            result.append(digit)
        }
        return result + (parts.count > 1 ? "." + parts[1] : "")
    }
}
