/// Formulas, from the loosest operator to the tightest: `if else`, or, and, not, comparison, + and -, ~, * and /, **,
/// sign, access.
extension Parser {
    /// One expression, or a tuple when commas follow.
    mutating func parseTuple(allowsConditional: Bool = true) throws(TemplateError) -> Expression {
        let line = line
        let first = allowsConditional ? try parseExpression() : try parseOperation()
        guard isAt(.comma) else { return first }
        var items = [first]
        while skip(.comma), !isAtTupleEnd {
            items.append(allowsConditional ? try parseExpression() : try parseOperation())
        }
        return Expression(line: line, node: .tuple(items))
    }

    private var isAtTupleEnd: Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .symbol(.rightParenthesis), .symbol(.rightBracket): true
        default: false
        }
    }

    mutating func parseExpression() throws(TemplateError) -> Expression {
        try enter()
        defer { leave() }
        var expression = try parseAny()
        while isAt(name: "if") {
            let line = line
            advance()
            let condition = try parseAny()
            let otherwise = skip(name: "else") ? try parseExpression() : nil
            expression = Expression(
                line: line, node: .conditional(condition: condition, then: expression, otherwise: otherwise))
        }
        return expression
    }

    /// An expression without `if else`, as a condition or a loop's sequence is.
    mutating func parseOperation() throws(TemplateError) -> Expression {
        try enter()
        defer { leave() }
        return try parseAny()
    }

    private mutating func parseAny() throws(TemplateError) -> Expression {
        let line = line
        var operands = [try parseAll()]
        while skip(name: "or") { operands.append(try parseAll()) }
        return operands.count == 1 ? operands[0] : Expression(line: line, node: .any(operands))
    }

    private mutating func parseAll() throws(TemplateError) -> Expression {
        let line = line
        var operands = [try parseNot()]
        while skip(name: "and") { operands.append(try parseNot()) }
        return operands.count == 1 ? operands[0] : Expression(line: line, node: .all(operands))
    }

    private mutating func parseNot() throws(TemplateError) -> Expression {
        let line = line
        guard skip(name: "not") else { return try parseComparison() }
        try enter()
        defer { leave() }
        return Expression(line: line, node: .not(try parseNot()))
    }

    private mutating func parseComparison() throws(TemplateError) -> Expression {
        let line = line
        let first = try parseSum()
        var rest: [(operation: Expression.Comparison, operand: Expression)] = []
        while let operation = skipComparison() { rest.append((operation, try parseSum())) }
        return rest.isEmpty ? first : Expression(line: line, node: .comparison(first, rest))
    }

    private mutating func skipComparison() -> Expression.Comparison? {
        let operations: [(Token.Symbol, Expression.Comparison)] = [
            (.equal, .equal), (.notEqual, .notEqual), (.less, .less), (.lessOrEqual, .lessOrEqual),
            (.greater, .greater), (.greaterOrEqual, .greaterOrEqual),
        ]
        for (symbol, operation) in operations where skip(symbol) { return operation }
        if skip(name: "in") { return .contained }
        if isAt(name: "not"), isNextName("in") {
            advance()
            advance()
            return .notContained
        }
        return nil
    }

    private func isNextName(_ name: String) -> Bool {
        var ahead = self
        ahead.advance()
        return ahead.isAt(name: name)
    }

    private mutating func parseSum() throws(TemplateError) -> Expression {
        let line = line
        let first = try parseConcatenation()
        var rest: [(operation: Expression.Arithmetic, operand: Expression)] = []
        while true {
            if skip(.plus) {
                rest.append((.add, try parseConcatenation()))
            } else if skip(.minus) {
                rest.append((.subtract, try parseConcatenation()))
            } else {
                return rest.isEmpty ? first : Expression(line: line, node: .arithmetic(first, rest))
            }
        }
    }

    private mutating func parseConcatenation() throws(TemplateError) -> Expression {
        let line = line
        var operands = [try parseProduct()]
        while skip(.tilde) { operands.append(try parseProduct()) }
        return operands.count == 1 ? operands[0] : Expression(line: line, node: .concatenation(operands))
    }

    private mutating func parseProduct() throws(TemplateError) -> Expression {
        let line = line
        let first = try parsePower()
        let operations: [(Token.Symbol, Expression.Arithmetic)] = [
            (.times, .multiply), (.divide, .divide), (.floorDivide, .floorDivide), (.modulo, .modulo),
        ]
        var rest: [(operation: Expression.Arithmetic, operand: Expression)] = []
        while let (symbol, operation) = operations.first(where: { isAt($0.0) }) {
            _ = skip(symbol)
            rest.append((operation, try parsePower()))
        }
        return rest.isEmpty ? first : Expression(line: line, node: .arithmetic(first, rest))
    }

    private mutating func parsePower() throws(TemplateError) -> Expression {
        let line = line
        let first = try parseSigned(allowsFilters: true)
        var rest: [(operation: Expression.Arithmetic, operand: Expression)] = []
        while skip(.power) { rest.append((.power, try parseSigned(allowsFilters: true))) }
        return rest.isEmpty ? first : Expression(line: line, node: .arithmetic(first, rest))
    }

    private mutating func parseSigned(allowsFilters: Bool) throws(TemplateError) -> Expression {
        try enter()
        defer { leave() }
        let line = line
        let base: Expression
        if skip(.minus) {
            base = Expression(line: line, node: .negative(try parseSigned(allowsFilters: false)))
        } else if skip(.plus) {
            base = Expression(line: line, node: .positive(try parseSigned(allowsFilters: false)))
        } else {
            base = try parsePrimary()
        }
        let accesses = try parseAccesses(allowsFilters: allowsFilters)
        return accesses.isEmpty ? base : Expression(line: line, node: .access(base, accesses))
    }

    // MARK: Values

    private mutating func parsePrimary() throws(TemplateError) -> Expression {
        let line = line
        switch current.kind {
        case .name(let name):
            advance()
            return Expression(line: line, node: Self.constants[name].map { .literal($0) } ?? .name(name))
        case .string(var text):
            advance()
            while case .string(let more) = current.kind {
                text += more
                advance()
            }
            return Expression(line: line, node: .literal(.string(text)))
        case .integer(let text):
            advance()
            return Expression(line: line, node: .literal(try integer(text, line: line)))
        case .float(let text):
            advance()
            return Expression(line: line, node: .literal(.float(Double(text) ?? .infinity)))
        case .symbol(.leftParenthesis):
            advance()
            if skip(.rightParenthesis) { return Expression(line: line, node: .tuple([])) }
            let inner = try parseTuple()
            try expect(.symbol(.rightParenthesis))
            return inner
        case .symbol(.leftBracket): return try parseList()
        case .symbol(.leftBrace): return try parseMap()
        default: throw .syntax(line: line, message: "unexpected \(current.description)")
        }
    }

    private static let constants: [String: Expression.Literal] = [
        "true": .boolean(true), "True": .boolean(true), "false": .boolean(false), "False": .boolean(false),
        "none": .none, "None": .none,
    ]

    private func integer(_ text: String, line: Int) throws(TemplateError) -> Expression.Literal {
        let prefixes: [(String, Int)] = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)]
        for (prefix, radix) in prefixes where text.hasPrefix(prefix) {
            guard let value = Int(text.dropFirst(2), radix: radix) else {
                throw .syntax(line: line, message: "\(prefix)… is no integer that fits 64 bits")
            }
            return .integer(value)
        }
        return Int(text).map { .integer($0) } ?? .bigInteger(text)
    }

    private mutating func parseList() throws(TemplateError) -> Expression {
        let line = line
        try expect(.symbol(.leftBracket))
        var items: [Expression] = []
        while !skip(.rightBracket) {
            if !items.isEmpty {
                try expect(.symbol(.comma))
                if skip(.rightBracket) { break }
            }
            items.append(try parseExpression())
        }
        return Expression(line: line, node: .list(items))
    }

    private mutating func parseMap() throws(TemplateError) -> Expression {
        let line = line
        try expect(.symbol(.leftBrace))
        var entries: [(key: Expression, value: Expression)] = []
        while !skip(.rightBrace) {
            if !entries.isEmpty {
                try expect(.symbol(.comma))
                if skip(.rightBrace) { break }
            }
            let key = try parseExpression()
            try expect(.symbol(.colon))
            entries.append((key, try parseExpression()))
        }
        return Expression(line: line, node: .map(entries))
    }

    // MARK: Access

    private mutating func parseAccesses(allowsFilters: Bool) throws(TemplateError) -> [Expression.Access] {
        var accesses: [Expression.Access] = []
        while true {
            let line = line
            switch current.kind {
            case .symbol(.dot): accesses.append(try parseAttribute())
            case .symbol(.leftBracket): accesses.append(try parseSubscript())
            case .symbol(.leftParenthesis):
                accesses.append(.init(line: line, kind: .call(try parseArguments())))
            case .symbol(.pipe) where allowsFilters:
                advance()
                accesses.append(try parseFilterCall())
            case .name("is") where allowsFilters: accesses.append(try parseTest())
            default: return accesses
            }
        }
    }

    private mutating func parseAttribute() throws(TemplateError) -> Expression.Access {
        let line = line
        advance()
        if case .integer(let text) = current.kind {
            advance()
            let item = Expression(line: line, node: .literal(try integer(text, line: line)))
            return .init(line: line, kind: .item(item))
        }
        return .init(line: line, kind: .attribute(try expectName()))
    }

    private mutating func parseSubscript() throws(TemplateError) -> Expression.Access {
        let line = line
        try expect(.symbol(.leftBracket))
        var parts: [Expression?] = [nil]
        while !skip(.rightBracket) {
            if skip(.colon) {
                parts.append(nil)
            } else {
                guard parts[parts.count - 1] == nil else {
                    throw .syntax(line: line, message: "unexpected \(current.description) in a subscript")
                }
                parts[parts.count - 1] = try parseTuple()
            }
        }
        if parts.count == 1, let item = parts[0] { return .init(line: line, kind: .item(item)) }
        guard parts.count == 2 || parts.count == 3 else {
            throw .syntax(line: line, message: "a subscript needs one value or up to two colons")
        }
        return .init(
            line: line, kind: .slice(start: parts[0], stop: parts[1], step: parts.count == 3 ? parts[2] : nil))
    }

    mutating func parseFilterCall() throws(TemplateError) -> Expression.Access {
        let line = line
        var name = try expectName()
        while skip(.dot) { name += "." + (try expectName()) }
        let arguments = isAt(.leftParenthesis) ? try parseArguments() : .init()
        return .init(line: line, kind: .filter(name, arguments))
    }

    private mutating func parseTest() throws(TemplateError) -> Expression.Access {
        let line = line
        advance()
        let isNegated = skip(name: "not")
        let name = try expectName()
        var arguments = Expression.ArgumentList()
        if isAt(.leftParenthesis) {
            arguments = try parseArguments()
        } else if startsTestArgument {
            let base = try parsePrimary()
            let accesses = try parseAccesses(allowsFilters: false)
            arguments.positional = [
                accesses.isEmpty ? base : Expression(line: line, node: .access(base, accesses))
            ]
        }
        return .init(line: line, kind: .test(name, arguments, isNegated: isNegated))
    }

    /// A test takes one argument without parentheses: `is divisibleby 3`.
    private var startsTestArgument: Bool {
        switch current.kind {
        case .string, .integer, .float, .symbol(.leftBracket), .symbol(.leftBrace): true
        case .name(let name): !["else", "or", "and", "if", "in", "not", "is", "recursive"].contains(name)
        default: false
        }
    }

    private mutating func parseArguments() throws(TemplateError) -> Expression.ArgumentList {
        try expect(.symbol(.leftParenthesis))
        var arguments = Expression.ArgumentList()
        var isFirst = true
        while !skip(.rightParenthesis) {
            if !isFirst {
                try expect(.symbol(.comma))
                if skip(.rightParenthesis) { break }
            }
            isFirst = false
            if skip(.power) {
                arguments.spreadKeywords = try parseExpression()
            } else if skip(.times) {
                arguments.spreadPositional = try parseExpression()
            } else if case .name(let name) = current.kind, isNext(.assign) {
                advance()
                advance()
                arguments.keywords.append((name, try parseExpression()))
            } else {
                guard arguments.keywords.isEmpty else {
                    throw .syntax(line: line, message: "a positional argument follows a named one")
                }
                arguments.positional.append(try parseExpression())
            }
        }
        return arguments
    }
}
