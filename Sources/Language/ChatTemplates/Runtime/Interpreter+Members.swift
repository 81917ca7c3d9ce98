/// Members, items and slices of values.
extension Interpreter {
    /// `value.name`: a method or field of the type first, then a map's member.
    func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
        if let member = try member(name, of: value) { return member }
        if case .map(let map) = value, let item = map[name] { return item }
        return .undefined(name)
    }

    /// `value[key]`: an item first, then a method or field of the type.
    func item(_ key: Value, of value: Value) throws(TemplateError) -> Value {
        if case .undefined(let name) = value { throw undefinedError(name) }
        switch value {
        case .map(let map):
            if let item = map[key] { return item }
        case .list(let items), .tuple(let items):
            if let index = Budget.integer(key) {
                let place = index < 0 ? index + items.elements.count : index
                return items.elements.indices.contains(place) ? items.elements[place] : .undefined("item \(index)")
            }
        case .string(let text), .markup(let text):
            if let index = Budget.integer(key) { return try character(index, of: text) }
        default: break
        }
        guard let name = key.text else { return .undefined("a \(key.typeName) item") }
        return try member(name, of: value) ?? .undefined(name)
    }

    private func character(_ index: Int, of text: String) throws(TemplateError) -> Value {
        try budget.charge(textBytes: text.utf8.count)
        let scalars = text.unicodeScalars
        let (limit, end) = index < 0 ? (scalars.startIndex, scalars.endIndex) : (scalars.endIndex, scalars.startIndex)
        guard let place = scalars.index(end, offsetBy: index, limitedBy: limit), place < scalars.endIndex else {
            return .undefined("item \(index)")
        }
        return .string(String(Character(scalars[place])))
    }

    /// A method or a field; nil when the type has none of this name.
    private func member(_ name: String, of value: Value) throws(TemplateError) -> Value? {
        switch value {
        case .undefined(let missing): throw undefinedError(missing)
        case .namespace(let namespace): return namespace.attributes[name]
        case .loop(let state): return try loopField(name, state)
        case .string, .markup, .list, .tuple, .map:
            guard let method = Methods.find(name, on: value) else {
                if Methods.changing.contains(name), Methods.isContainer(value) {
                    throw budget.unsupported("'\(name)', which changes a \(value.typeName),")
                }
                return nil
            }
            return .function(
                NativeFunction(name) { (interpreter, arguments) throws(TemplateError) in
                    try method(interpreter, value, arguments)
                })
        default: return nil
        }
    }

    func undefinedError(_ name: String) -> TemplateError {
        budget.typeError("'\(name)' is undefined")
    }

    private func loopField(_ name: String, _ state: LoopState) throws(TemplateError) -> Value? {
        let (index, count) = (state.index, state.items.count)
        switch name {
        case "index": return .integer(index + 1)
        case "index0": return .integer(index)
        case "revindex": return .integer(count - index)
        case "revindex0": return .integer(count - index - 1)
        case "first": return .boolean(index == 0)
        case "last": return .boolean(index == count - 1)
        case "length": return .integer(count)
        case "depth": return .integer(1)
        case "depth0": return .integer(0)
        case "previtem": return index > 0 ? state.items[index - 1] : .undefined("previtem")
        case "nextitem": return index + 1 < count ? state.items[index + 1] : .undefined("nextitem")
        case "cycle":
            return .function(
                NativeFunction(name) { (interpreter, arguments) throws(TemplateError) in
                    guard !arguments.positional.isEmpty else {
                        throw interpreter.budget.typeError("cycle needs values")
                    }
                    return arguments.positional[state.index % arguments.positional.count]
                })
        case "changed":
            return .function(
                NativeFunction(name) { (interpreter, arguments) throws(TemplateError) in
                    try interpreter.recordChange(of: state, arguments.positional)
                })
        default: return nil
        }
    }

    private func recordChange(of state: LoopState, _ values: [Value]) throws(TemplateError) -> Value {
        var isSame = state.lastChanged?.count == values.count
        for (old, new) in zip(state.lastChanged ?? [], values) where isSame {
            isSame = try budget.areEqual(old, new)
        }
        for value in values where value.depth == nil {
            throw budget.unsupported("a \(value.typeName) in 'changed'")
        }
        state.lastChanged = values
        return .boolean(!isSame)
    }

    func slice(_ value: Value, _ bounds: (start: Int?, stop: Int?, step: Int)) throws(TemplateError) -> Value {
        guard bounds.step != 0 else { throw budget.typeError("the step of a slice is zero") }
        switch value {
        case .undefined(let name): throw undefinedError(name)
        case .string(let text), .markup(let text):
            try budget.charge(textBytes: text.utf8.count)
            let scalars = Array(text.unicodeScalars)
            var result = String.UnicodeScalarView()
            for place in Self.places(bounds, count: scalars.count) { result.append(scalars[place]) }
            return value.rewrapping(String(result))
        case .list(let items):
            return try budget.list(Self.places(bounds, count: items.elements.count).map { items.elements[$0] })
        case .tuple(let items):
            return try budget.tuple(Self.places(bounds, count: items.elements.count).map { items.elements[$0] })
        default: return .undefined("a slice of a \(value.typeName)")
        }
    }

    private static func places(
        _ bounds: (start: Int?, stop: Int?, step: Int), count: Int
    ) -> StrideTo<Int> {
        func clamp(_ bound: Int, _ low: Int, _ high: Int) -> Int {
            min(max(bound < 0 ? bound.addingReportingOverflow(count).partialValue : bound, low), high)
        }
        // A step beyond the count takes one element either way, and keeps the arithmetic in range.
        let step = min(max(bounds.step, -count - 1), count + 1)
        if step > 0 {
            return stride(
                from: bounds.start.map { clamp($0, 0, count) } ?? 0,
                to: bounds.stop.map { clamp($0, 0, count) } ?? count, by: step)
        }
        return stride(
            from: bounds.start.map { clamp($0, -1, count - 1) } ?? count - 1,
            to: bounds.stop.map { clamp($0, -1, count - 1) } ?? -1, by: step)
    }
}
