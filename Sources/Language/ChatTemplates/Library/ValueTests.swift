/// What can follow `is`.
enum ValueTests {
    typealias Test = @Sendable (Interpreter, Value, Arguments) throws(TemplateError) -> Bool

    static let table: [String: Test] = types.merging(relations) { first, _ in first }

    private static let types: [String: Test] = [
        "defined": { (_, value, _) in !value.isUndefined },
        "undefined": { (_, value, _) in value.isUndefined },
        "none": { (_, value, _) in if case .none = value { true } else { false } },
        "boolean": { (_, value, _) in if case .boolean = value { true } else { false } },
        "true": { (_, value, _) in if case .boolean(true) = value { true } else { false } },
        "false": { (_, value, _) in if case .boolean(false) = value { true } else { false } },
        "integer": { (_, value, _) in
            switch value {
            case .integer, .bigInteger: true
            default: false
            }
        },
        "float": { (_, value, _) in if case .float = value { true } else { false } },
        "number": { (_, value, _) in Budget.number(value) != nil },
        "string": { (_, value, _) in value.text != nil },
        "mapping": { (_, value, _) in if case .map = value { true } else { false } },
        "callable": { (_, value, _) in
            switch value {
            case .macro, .function: true
            default: false
            }
        },
        "iterable": { (_, value, _) in
            switch value {
            case .undefined, .string, .markup, .list, .tuple, .view, .iterator, .map, .loop: true
            default: false
            }
        },
        "sequence": { (_, value, _) in
            switch value {
            case .undefined, .string, .markup, .list, .tuple, .map: true
            default: false
            }
        },
        "escaped": { (_, value, _) in if case .markup = value { true } else { false } },
        "filter": { (_, value, _) in value.text.map { Filters.table[$0] != nil } ?? false },
        "test": { (_, value, _) in value.text.map { ValueTests.isTest($0) } ?? false },
        "lower": { (interpreter, value, _) throws(TemplateError) in
            Methods.isLower(try interpreter.budget.text(value))
        },
        "upper": { (interpreter, value, _) throws(TemplateError) in
            Methods.isUpper(try interpreter.budget.text(value))
        },
    ]

    private static func isTest(_ name: String) -> Bool { table[name] != nil }

    private static let relations: [String: Test] = {
        var table: [String: Test] = [
            "in": { (interpreter, value, arguments) throws(TemplateError) in
                try interpreter.budget.contains(try first(interpreter, arguments), value)
            },
            "sameas": { (interpreter, value, arguments) throws(TemplateError) in
                try areSame(interpreter.budget, value, try first(interpreter, arguments))
            },
            "odd": { (interpreter, value, _) throws(TemplateError) in
                try remainder(interpreter.budget, value, .integer(2)) == 1
            },
            "even": { (interpreter, value, _) throws(TemplateError) in
                try remainder(interpreter.budget, value, .integer(2)) == 0
            },
            "divisibleby": { (interpreter, value, arguments) throws(TemplateError) in
                try remainder(interpreter.budget, value, try first(interpreter, arguments)) == 0
            },
        ]
        let comparisons: [(names: [String], operation: Expression.Comparison)] = [
            (["equalto", "eq", "=="], .equal), (["ne", "!="], .notEqual), (["lt", "lessthan", "<"], .less),
            (["le", "<="], .lessOrEqual), (["gt", "greaterthan", ">"], .greater), (["ge", ">="], .greaterOrEqual),
        ]
        for (names, operation) in comparisons {
            for name in names { table[name] = comparing(operation) }
        }
        return table
    }()

    private static func comparing(_ operation: Expression.Comparison) -> Test {
        { (interpreter, value, arguments) throws(TemplateError) in
            try interpreter.budget.compare(operation, value, try first(interpreter, arguments))
        }
    }

    private static func first(_ interpreter: Interpreter, _ arguments: Arguments) throws(TemplateError) -> Value {
        guard let value = arguments.positional.first ?? arguments.keywords.first?.value else {
            throw interpreter.budget.typeError("the test needs an argument")
        }
        return value
    }

    private static func remainder(_ budget: Budget, _ value: Value, _ divisor: Value) throws(TemplateError) -> Double {
        guard Budget.number(value) != nil, let rest = Budget.number(try budget.calculate(.modulo, value, divisor))
        else {
            throw budget.typeError("a \(value.typeName) cannot be divided")
        }
        return rest
    }

    /// Identity, as far as it can be told apart: values of one type that are equal, and one and the same container.
    private static func areSame(_ budget: Budget, _ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        switch (left, right) {
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)): return left === right
        case (.map(let left), .map(let right)): return left === right
        default: return left.typeName == right.typeName ? try budget.areEqual(left, right) : false
        }
    }
}
