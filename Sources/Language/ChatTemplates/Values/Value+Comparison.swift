/// Equality and order as Python has them.
extension Budget {
    func areEqual(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        try enter()
        defer { leave() }
        try charge()
        if let left = left.text, let right = right.text {
            try charge(textBytes: min(left.utf8.count, right.utf8.count))
            return PythonText.areEqual(left, right)
        }
        if let order = Self.numericOrder(left, right) { return order == 0 }
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            return try areEqual(left.elements, right.elements)
        case (.map(let left), .map(let right)): return try areEqual(left, right)
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        case (.function(let left), .function(let right)): return left === right
        case (.loop(let left), .loop(let right)): return left === right
        case (.iterator(let left), .iterator(let right)): return left === right
        default: return false
        }
    }

    private func areEqual(_ left: [Value], _ right: [Value]) throws(TemplateError) -> Bool {
        guard left.count == right.count else { return false }
        for (left, right) in zip(left, right) where try !areEqual(left, right) { return false }
        return true
    }

    private func areEqual(_ left: ValueMap, _ right: ValueMap) throws(TemplateError) -> Bool {
        guard left.entries.count == right.entries.count else { return false }
        for entry in left.entries {
            guard let other = right[entry.key], try areEqual(entry.value, other) else { return false }
        }
        return true
    }

    /// Negative, zero or positive; nil when one of the two is no number or not a number.
    private static func numericOrder(_ left: Value, _ right: Value) -> Int? {
        if let left = integer(left), let right = integer(right) {
            return left < right ? -1 : left > right ? 1 : 0
        }
        if case .bigInteger(let left) = left, case .bigInteger(let right) = right, left == right { return 0 }
        guard let left = number(left), let right = number(right) else { return nil }
        return left < right ? -1 : left > right ? 1 : left == right ? 0 : nil
    }

    static func integer(_ value: Value) -> Int? {
        switch value {
        case .integer(let value): value
        case .boolean(let value): value ? 1 : 0
        default: nil
        }
    }

    static func number(_ value: Value) -> Double? {
        switch value {
        case .float(let value): value
        case .bigInteger(let digits): Double(digits)
        default: integer(value).map { Double($0) }
        }
    }

    /// Whether `left < right`.
    ///
    /// Throws for values that have no order.
    func isLess(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        try enter()
        defer { leave() }
        try charge()
        if let left = left.text, let right = right.text {
            try charge(textBytes: min(left.utf8.count, right.utf8.count))
            return PythonText.isLess(left, right)
        }
        if Self.number(left) != nil, Self.number(right) != nil {
            return Self.numericOrder(left, right).map { $0 < 0 } ?? false
        }
        switch (left, right) {
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (left, right) in zip(left.elements, right.elements) where try !areEqual(left, right) {
                return try isLess(left, right)
            }
            return left.elements.count < right.elements.count
        default:
            throw typeError("\(left.typeName) and \(right.typeName) have no order")
        }
    }

    func contains(_ container: Value, _ item: Value) throws(TemplateError) -> Bool {
        switch container {
        case .string(let text), .markup(let text):
            guard let part = item.text else {
                throw typeError("'in' of a str needs a str, not \(item.typeName)")
            }
            return try contains(text, part)
        case .map(let map):
            guard MapKey(item) != nil else { throw typeError("a \(item.typeName) cannot be a key of a map") }
            return map[item] != nil
        case .iterator(let iterator):
            while let element = iterator.next() {
                if try areEqual(element, item) { return true }
            }
            return false
        default:
            for element in try elements(container) where try areEqual(element, item) { return true }
            return false
        }
    }

    func contains(_ text: String, _ part: String) throws(TemplateError) -> Bool {
        try charge(textBytes: text.utf8.count + part.utf8.count)
        if part.isEmpty { return true }
        return !TextSearch(Array(part.utf8)).matches(in: Array(text.utf8), limit: 1).isEmpty
    }

    /// What iterating over a value gives.
    ///
    /// Throws for values that cannot be iterated over.
    func elements(_ value: Value) throws(TemplateError) -> [Value] {
        switch value {
        case .undefined: return []
        case .list(let items), .tuple(let items), .view(let items, _):
            try charge(1 + items.elements.count / 16)
            return items.elements
        case .iterator(let iterator): return iterator.take()
        case .map(let map):
            try charge(1 + map.entries.count)
            return map.entries.map(\.key)
        case .string(let text), .markup(let text):
            try charge(1 + text.utf8.count)
            return text.unicodeScalars.map { .string(String(Character($0))) }
        default: throw typeError("a \(value.typeName) cannot be iterated over")
        }
    }
}
