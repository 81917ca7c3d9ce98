/// Filters over the elements of lists, maps and text.
enum SequenceFilters {
    static let table: [String: Filters.Filter] = [
        "length": count,
        "count": count,
        "list": { (interpreter, value, _) throws(TemplateError) in
            try interpreter.budget.list(try interpreter.budget.elements(value))
        },
        "first": { (interpreter, value, _) throws(TemplateError) in
            if case .iterator(let iterator) = value { return iterator.next() ?? .undefined("first") }
            return try interpreter.budget.elements(value).first ?? .undefined("first")
        },
        "last": { (interpreter, value, _) throws(TemplateError) in
            if case .iterator = value { throw interpreter.budget.typeError("a generator has no last element") }
            return try interpreter.budget.elements(value).last ?? .undefined("last")
        },
        "items": { (interpreter, value, _) throws(TemplateError) in
            if value.isUndefined { return try interpreter.budget.iterator([]) }
            guard case .map = value else {
                throw interpreter.budget.typeError("items needs a map, not \(value.typeName)")
            }
            return try interpreter.budget.iterator(try Methods.pairs(interpreter.budget, value))
        },
        "join": { (interpreter, value, arguments) throws(TemplateError) in try join(interpreter, value, arguments) },
        "reverse": { (interpreter, value, _) throws(TemplateError) in
            let reversed = Array(try interpreter.budget.elements(value).reversed())
            guard value.text == nil else { return value.rewrapping(reversed.compactMap(\.text).joined()) }
            return try interpreter.budget.iterator(reversed)
        },
        "map": { (interpreter, value, arguments) throws(TemplateError) in try map(interpreter, value, arguments) },
        "select": selection(byAttribute: false, keeps: true),
        "reject": selection(byAttribute: false, keeps: false),
        "selectattr": selection(byAttribute: true, keeps: true),
        "rejectattr": selection(byAttribute: true, keeps: false),
        "unique": { (interpreter, value, arguments) throws(TemplateError) in
            try unique(interpreter, value, arguments)
        },
        "sort": { (interpreter, value, arguments) throws(TemplateError) in try sort(interpreter, value, arguments) },
        "dictsort": { (interpreter, value, arguments) throws(TemplateError) in
            try sortMap(interpreter, value, arguments)
        },
        "min": extreme { (left, right, budget) throws(TemplateError) in try budget.isLess(left, right) },
        "max": extreme { (left, right, budget) throws(TemplateError) in try budget.isLess(right, left) },
        "sum": { (interpreter, value, arguments) throws(TemplateError) in
            var sum = arguments[1, "start"] ?? .integer(0)
            for element in try interpreter.budget.elements(value) {
                let part = try attribute(interpreter, arguments[0, "attribute"], of: element)
                sum = try interpreter.budget.calculate(.add, sum, part)
            }
            return sum
        },
        "batch": { (interpreter, value, arguments) throws(TemplateError) in
            try batch(interpreter, value, arguments)
        },
    ]

    private static let count: Filters.Filter = { (interpreter, value, _) throws(TemplateError) in
        switch value {
        case .undefined: return .integer(0)
        case .string(let text), .markup(let text):
            try interpreter.budget.charge(textBytes: text.utf8.count)
            return .integer(text.unicodeScalars.count)
        case .list(let items), .tuple(let items), .view(let items, _): return .integer(items.elements.count)
        case .map(let map): return .integer(map.entries.count)
        case .loop(let state): return .integer(state.items.count)
        default: throw interpreter.budget.typeError("a \(value.typeName) has no length")
        }
    }

    /// A member named by a path such as `function.name`; nil gives the element itself.
    static func attribute(
        _ interpreter: Interpreter, _ path: Value?, of element: Value
    ) throws(TemplateError) -> Value {
        guard let path else { return element }
        if case .none = path { return element }
        guard let text = path.text else { return try interpreter.item(path, of: element) }
        var value = element
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            try interpreter.budget.charge()
            value = try interpreter.item(Int(part).map { .integer($0) } ?? .string(String(part)), of: value)
        }
        return value
    }

    /// Nothing for any value that is false, as `map` and the selections have it: templates apply them to None.
    private static func lenientElements(_ interpreter: Interpreter, _ value: Value) throws(TemplateError) -> [Value] {
        value.isTrue ? try interpreter.budget.elements(value) : []
    }

    private static func join(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        var parts: [String] = []
        for element in try interpreter.budget.elements(value) {
            let part = try attribute(interpreter, arguments[1, "attribute"], of: element)
            parts.append(try interpreter.budget.text(part))
        }
        let separator = try interpreter.budget.text(arguments[0, "d"] ?? .string(""))
        return .string(try TextMethods.joined(interpreter.budget, parts, separator: separator))
    }

    private static func map(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        var results: [Value] = []
        let path = arguments["attribute"]
        guard path != nil || arguments.positional.first?.text != nil else {
            throw interpreter.budget.typeError("map needs a filter or an attribute")
        }
        for element in try lenientElements(interpreter, value) {
            if let path {
                let part = try attribute(interpreter, path, of: element)
                results.append(part.isUndefined ? arguments["default"] ?? part : part)
            } else {
                let name = arguments.positional.first?.text ?? ""
                results.append(try interpreter.filter(element, name, arguments.dropFirst()))
            }
        }
        return try interpreter.budget.iterator(results)
    }

    /// `select`, `reject`, and with an attribute before the test `selectattr`, `rejectattr`.
    private static func selection(byAttribute: Bool, keeps: Bool) -> Filters.Filter {
        { (interpreter, value, arguments) throws(TemplateError) in
            let path = byAttribute ? arguments.positional.first : nil
            guard path != nil || !byAttribute else {
                throw interpreter.budget.typeError("the filter needs an attribute")
            }
            let rest = byAttribute ? arguments.dropFirst() : arguments
            var kept: [Value] = []
            for element in try lenientElements(interpreter, value) {
                let part = try attribute(interpreter, path, of: element)
                var isSelected = part.isTrue
                if let name = rest.positional.first {
                    isSelected = try interpreter.test(part, name.text ?? "", rest.dropFirst())
                }
                if isSelected == keeps { kept.append(element) }
            }
            return try interpreter.budget.iterator(kept)
        }
    }

    /// Text compares without regard to capitals unless told otherwise.
    private static func sortKey(_ value: Value, _ isCaseSensitive: Value?, _ budget: Budget) throws(TemplateError)
        -> Value
    {
        guard let text = value.text, isCaseSensitive?.isTrue != true else { return value }
        try budget.charge(textBytes: text.utf8.count)
        return .string(text.lowercased())
    }

    private static func unique(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        var seen: Set<MapKey> = []
        var kept: [Value] = []
        for element in try interpreter.budget.elements(value) {
            let part = try attribute(interpreter, arguments[1, "attribute"], of: element)
            guard let key = MapKey(try sortKey(part, arguments[0, "case_sensitive"], interpreter.budget)) else {
                throw interpreter.budget.typeError("unique cannot compare a \(part.typeName)")
            }
            if seen.insert(key).inserted { kept.append(element) }
        }
        return try interpreter.budget.iterator(kept)
    }

    private static func sorted(
        _ interpreter: Interpreter, _ elements: [Value], isReversed: Bool,
        key: (Value) throws(TemplateError) -> Value
    ) throws(TemplateError) -> [Value] {
        var keyed: [(key: Value, element: Value)] = []
        for element in elements { keyed.append((try key(element), element)) }
        let budget = interpreter.budget
        return try StableSort.sorted(keyed) { (left, right) throws(TemplateError) in
            isReversed ? try budget.isLess(right.key, left.key) : try budget.isLess(left.key, right.key)
        }.map(\.element)
    }

    private static func sort(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let elements = try interpreter.budget.elements(value)
        let result = try sorted(interpreter, elements, isReversed: arguments[0, "reverse"]?.isTrue ?? false) {
            (element) throws(TemplateError) in
            let part = try attribute(interpreter, arguments[2, "attribute"], of: element)
            return try sortKey(part, arguments[1, "case_sensitive"], interpreter.budget)
        }
        return try interpreter.budget.list(result)
    }

    private static func sortMap(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard case .map = value else {
            throw interpreter.budget.typeError("dictsort needs a map, not \(value.typeName)")
        }
        let place = arguments[1, "by"]?.text == "value" ? 1 : 0
        let pairs = try Methods.pairs(interpreter.budget, value)
        let result = try sorted(interpreter, pairs, isReversed: arguments[2, "reverse"]?.isTrue ?? false) {
            (pair) throws(TemplateError) in
            try sortKey(
                try interpreter.item(.integer(place), of: pair), arguments[0, "case_sensitive"], interpreter.budget)
        }
        return try interpreter.budget.list(result)
    }

    private static func extreme(
        _ isBetter: @escaping @Sendable (Value, Value, Budget) throws(TemplateError) -> Bool
    ) -> Filters.Filter {
        { (interpreter, value, arguments) throws(TemplateError) in
            func key(_ element: Value) throws(TemplateError) -> Value {
                let part = try attribute(interpreter, arguments[1, "attribute"], of: element)
                return try sortKey(part, arguments[0, "case_sensitive"], interpreter.budget)
            }
            let elements = try interpreter.budget.elements(value)
            guard var best = elements.first else { return .undefined("an element of an empty list") }
            for element in elements.dropFirst() {
                if try isBetter(try key(element), try key(best), interpreter.budget) { best = element }
            }
            return best
        }
    }

    private static func batch(
        _ interpreter: Interpreter, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        guard let size = arguments[0, "linecount"].flatMap(Budget.integer), size > 0 else {
            throw interpreter.budget.typeError("batch needs a size")
        }
        let elements = try interpreter.budget.elements(value)
        var batches: [Value] = []
        // A step beyond the count makes one batch, as the count does.
        let step = max(1, min(size, elements.count))
        for start in stride(from: 0, to: elements.count, by: step) {
            var part = Array(elements[start..<min(start + step, elements.count)])
            if let filler = arguments[1, "fill_with"], part.count < size {
                try interpreter.budget.charge(size)
                while part.count < size { part.append(filler) }
            }
            batches.append(try interpreter.budget.list(part))
        }
        return try interpreter.budget.iterator(batches)
    }
}
