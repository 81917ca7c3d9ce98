/// Evaluation.
///
/// Each kind of expression has its own small function, so that a level of depth costs little stack.
extension Interpreter {
    func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
        try budget.enter()
        defer { budget.leave() }
        try budget.charge()
        switch expression.node {
        case .literal: return Self.literal(expression)
        case .name: return name(expression)
        case .list: return try list(expression)
        case .tuple: return try tuple(expression)
        case .map: return try map(expression)
        case .arithmetic: return try arithmetic(expression)
        case .concatenation: return try concatenation(expression)
        case .comparison: return try comparison(expression)
        case .all, .any: return try logic(expression)
        case .not, .negative, .positive: return try sign(expression)
        case .conditional: return try conditional(expression)
        case .access: return try access(expression)
        }
    }

    private static func literal(_ expression: Expression) -> Value {
        guard case .literal(let literal) = expression.node else { return .none }
        return value(literal)
    }

    private func name(_ expression: Expression) -> Value {
        guard case .name(let name) = expression.node else { return .none }
        return lookUp(name) ?? Globals.value(name) ?? .undefined(name)
    }

    private func list(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .list(let items) = expression.node else { return .none }
        return try budget.list(try evaluate(items))
    }

    private func tuple(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .tuple(let items) = expression.node else { return .none }
        return try budget.tuple(try evaluate(items))
    }

    private static func value(_ literal: Expression.Literal) -> Value {
        switch literal {
        case .none: .none
        case .boolean(let value): .boolean(value)
        case .integer(let value): .integer(value)
        case .bigInteger(let digits): .bigInteger(digits)
        case .float(let value): .float(value)
        case .string(let text): .string(text)
        }
    }

    private func evaluate(_ expressions: [Expression]) throws(TemplateError) -> [Value] {
        var values: [Value] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private func map(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .map(let entries) = expression.node else { return .none }
        var values: [ValueMap.Entry] = []
        for entry in entries { values.append((try evaluate(entry.key), try evaluate(entry.value))) }
        return try budget.map(values)
    }

    private func arithmetic(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .arithmetic(let first, let rest) = expression.node else { return .none }
        var result = try evaluate(first)
        for (operation, operand) in rest {
            result = try budget.calculate(operation, result, try evaluate(operand))
        }
        return result
    }

    private func concatenation(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .concatenation(let operands) = expression.node else { return .none }
        var result = ""
        for operand in operands {
            let text = try budget.text(try evaluate(operand))
            try budget.charge(textBytes: result.utf8.count + text.utf8.count)
            result += text
        }
        return .string(result)
    }

    private func comparison(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .comparison(let first, let rest) = expression.node else { return .none }
        var left = try evaluate(first)
        for (operation, operand) in rest {
            let right = try evaluate(operand)
            guard try budget.compare(operation, left, right) else { return .boolean(false) }
            left = right
        }
        return .boolean(true)
    }

    /// `and` and `or` give the operand that decided, not a boolean.
    private func logic(_ expression: Expression) throws(TemplateError) -> Value {
        switch expression.node {
        case .all(let operands): try decide(operands, stopsAt: false)
        case .any(let operands): try decide(operands, stopsAt: true)
        default: .none
        }
    }

    private func decide(_ operands: [Expression], stopsAt end: Bool) throws(TemplateError) -> Value {
        var result = Value.none
        for operand in operands {
            result = try evaluate(operand)
            if result.isTrue == end { break }
        }
        return result
    }

    private func sign(_ expression: Expression) throws(TemplateError) -> Value {
        switch expression.node {
        case .not(let operand): .boolean(try !evaluate(operand).isTrue)
        case .negative(let operand): try budget.negate(try evaluate(operand))
        case .positive(let operand): try budget.calculate(.add, .integer(0), try evaluate(operand))
        default: .none
        }
    }

    private func conditional(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .conditional(let condition, let then, let otherwise) = expression.node else { return .none }
        if try evaluate(condition).isTrue { return try evaluate(then) }
        guard let otherwise else { return .undefined("the result of an if without else") }
        return try evaluate(otherwise)
    }

    // MARK: Access

    private func access(_ expression: Expression) throws(TemplateError) -> Value {
        guard case .access(let base, let accesses) = expression.node else { return .none }
        return try apply(accesses, to: try evaluate(base))
    }

    func apply(_ accesses: [Expression.Access], to base: Value) throws(TemplateError) -> Value {
        var value = base
        for access in accesses {
            try budget.charge()
            budget.line = access.line
            value = try apply(access, to: value)
        }
        return value
    }

    private func apply(_ access: Expression.Access, to value: Value) throws(TemplateError) -> Value {
        switch access.kind {
        case .attribute(let name): try attribute(name, of: value)
        case .item(let key): try item(try evaluate(key), of: value)
        case .slice(let start, let stop, let step): try slice(value, start, stop, step)
        case .call(let list): try call(value, try evaluate(list))
        case .filter(let name, let list): try filter(value, name, try evaluate(list))
        case .test(let name, let list, let isNegated):
            .boolean(try test(value, name, try evaluate(list)) != isNegated)
        }
    }

    func evaluate(_ list: Expression.ArgumentList) throws(TemplateError) -> Arguments {
        var arguments = Arguments(positional: try evaluate(list.positional))
        for (name, expression) in list.keywords { arguments.keywords.append((name, try evaluate(expression))) }
        if let spread = list.spreadPositional {
            arguments.positional += try budget.elements(try evaluate(spread))
        }
        if let spread = list.spreadKeywords {
            guard case .map(let map) = try evaluate(spread) else { throw budget.typeError("'**' needs a map") }
            for entry in map.entries { arguments.keywords.append((try budget.text(entry.key), entry.value)) }
        }
        try budget.charge(arguments.positional.count + arguments.keywords.count)
        return arguments
    }

    func filter(_ value: Value, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        guard let filter = Filters.table[name] else { throw budget.unsupported("the filter '\(name)'") }
        return try filter(self, value, arguments)
    }

    func test(_ value: Value, _ name: String, _ arguments: Arguments) throws(TemplateError) -> Bool {
        guard let test = ValueTests.table[name] else { throw budget.unsupported("the test '\(name)'") }
        return try test(self, value, arguments)
    }

    private func slice(
        _ value: Value, _ start: Expression?, _ stop: Expression?, _ step: Expression?
    ) throws(TemplateError) -> Value {
        func bound(_ expression: Expression?) throws(TemplateError) -> Int? {
            guard let expression else { return nil }
            let value = try evaluate(expression)
            if case .none = value { return nil }
            guard let integer = Budget.integer(value) else {
                throw budget.typeError("a slice needs integers, not \(value.typeName)")
            }
            return integer
        }
        let bounds = (try bound(start), try bound(stop), try bound(step) ?? 1)
        return try slice(value, bounds)
    }
}
