/// Evaluation.
///
/// Each kind of expression has its own small function, so that a level of depth costs little stack.
extension Interpreter {
    func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
        try budget.enter()
        defer { budget.leave() }
        try budget.charge()
        switch expression.node {
        case .literal(let literal): return Self.value(literal)
        case .name(let name): return lookUp(name) ?? Globals.value(name) ?? .undefined(name)
        case .list(let items): return try budget.list(try evaluate(items))
        case .tuple(let items): return try budget.tuple(try evaluate(items))
        case .map(let entries): return try evaluateMap(entries)
        case .arithmetic(let first, let rest): return try evaluateArithmetic(first, rest)
        case .concatenation(let operands): return try evaluateConcatenation(operands)
        case .comparison(let first, let rest): return try evaluateComparison(first, rest)
        case .all(let operands): return try evaluateLogic(operands, stopsAt: false)
        case .any(let operands): return try evaluateLogic(operands, stopsAt: true)
        case .not(let operand): return .boolean(try !evaluate(operand).isTrue)
        case .negative(let operand): return try budget.negate(try evaluate(operand))
        case .positive(let operand): return try budget.calculate(.add, .integer(0), try evaluate(operand))
        case .conditional(let condition, let then, let otherwise):
            return try evaluateConditional(condition, then, otherwise)
        case .access(let base, let accesses): return try evaluateAccess(base, accesses)
        }
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

    private func evaluateMap(_ entries: [(key: Expression, value: Expression)]) throws(TemplateError) -> Value {
        var values: [ValueMap.Entry] = []
        for entry in entries { values.append((try evaluate(entry.key), try evaluate(entry.value))) }
        return try budget.map(values)
    }

    private func evaluateArithmetic(
        _ first: Expression, _ rest: [(operation: Expression.Arithmetic, operand: Expression)]
    ) throws(TemplateError) -> Value {
        var result = try evaluate(first)
        for (operation, operand) in rest {
            result = try budget.calculate(operation, result, try evaluate(operand))
        }
        return result
    }

    private func evaluateConcatenation(_ operands: [Expression]) throws(TemplateError) -> Value {
        var result = ""
        for operand in operands {
            let text = try budget.text(try evaluate(operand))
            try budget.charge(textBytes: result.utf8.count + text.utf8.count)
            result += text
        }
        return .string(result)
    }

    private func evaluateComparison(
        _ first: Expression, _ rest: [(operation: Expression.Comparison, operand: Expression)]
    ) throws(TemplateError) -> Value {
        var left = try evaluate(first)
        for (operation, operand) in rest {
            let right = try evaluate(operand)
            guard try budget.compare(operation, left, right) else { return .boolean(false) }
            left = right
        }
        return .boolean(true)
    }

    /// `and` and `or` give the operand that decided, not a boolean.
    private func evaluateLogic(_ operands: [Expression], stopsAt end: Bool) throws(TemplateError) -> Value {
        var result = Value.none
        for operand in operands {
            result = try evaluate(operand)
            if result.isTrue == end { break }
        }
        return result
    }

    private func evaluateConditional(
        _ condition: Expression, _ then: Expression, _ otherwise: Expression?
    ) throws(TemplateError) -> Value {
        if try evaluate(condition).isTrue { return try evaluate(then) }
        guard let otherwise else { return .undefined("the result of an if without else") }
        return try evaluate(otherwise)
    }

    // MARK: Access

    private func evaluateAccess(_ base: Expression, _ accesses: [Expression.Access]) throws(TemplateError) -> Value {
        try apply(accesses, to: try evaluate(base))
    }

    func apply(_ accesses: [Expression.Access], to base: Value) throws(TemplateError) -> Value {
        var value = base
        for access in accesses {
            try budget.charge()
            budget.line = access.line
            switch access.kind {
            case .attribute(let name): value = try attribute(name, of: value)
            case .item(let key): value = try item(try evaluate(key), of: value)
            case .slice(let start, let stop, let step): value = try slice(value, start, stop, step)
            case .call(let list): value = try call(value, try evaluate(list))
            case .filter(let name, let list): value = try filter(value, name, try evaluate(list))
            case .test(let name, let list, let isNegated):
                value = .boolean(try test(value, name, try evaluate(list)) != isNegated)
            }
        }
        return value
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
