/// Builds the tree of a template from its tokens: the statements here, the formulas in `Parser+Expressions`.
struct Parser {
    private let tokens: [Token]
    private let limits: TemplateLimits
    private var index = 0
    private var nesting = 0
    private var loopNesting = 0

    static func parse(_ source: String, limits: TemplateLimits) throws(TemplateError) -> [Statement] {
        var parser = Parser(tokens: try Lexer.tokenize(source, limits: limits), limits: limits)
        let body = try parser.parseBody(until: [])
        return body
    }

    private init(tokens: [Token], limits: TemplateLimits) {
        self.tokens = tokens
        self.limits = limits
    }

    // MARK: Reading tokens

    var current: Token { tokens[index] }
    var line: Int { tokens[index].line }

    mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
    }

    mutating func skip(_ symbol: Token.Symbol) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard isAt(name: name) else { return false }
        advance()
        return true
    }

    func isAt(name: String) -> Bool { current.kind == .name(name) }
    func isAt(_ symbol: Token.Symbol) -> Bool { current.kind == .symbol(symbol) }
    func isNext(_ symbol: Token.Symbol) -> Bool {
        index + 1 < tokens.count && tokens[index + 1].kind == .symbol(symbol)
    }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
        guard current.kind == kind else {
            let wanted = Token(kind: kind, line: line).description
            throw .syntax(line: line, message: "expected \(wanted), found \(current.description)")
        }
        advance()
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else {
            throw .syntax(line: line, message: "expected a name, found \(current.description)")
        }
        advance()
        return name
    }

    mutating func enter() throws(TemplateError) {
        nesting += 1
        guard nesting <= limits.nesting else {
            throw .limitExceeded(limit: "levels of nesting", maximum: limits.nesting, line: line)
        }
    }

    mutating func leave() { nesting -= 1 }

    // MARK: Bodies

    /// Reads statements up to a block whose keyword is in `ends`; the keyword is the current token afterwards.
    private mutating func parseBody(until ends: [String]) throws(TemplateError) -> [Statement] {
        try enter()
        defer { leave() }
        var body: [Statement] = []
        let firstLine = line
        while true {
            let statementLine = line
            switch current.kind {
            case .end:
                guard ends.isEmpty else {
                    let wanted = ends.map { "'\($0)'" }.joined(separator: " or ")
                    throw .syntax(line: firstLine, message: "a block does not end: expected \(wanted)")
                }
                return body
            case .data(let text):
                advance()
                body.append(Statement(line: statementLine, node: .text(text)))
            case .variableBegin:
                advance()
                let value = try parseTuple()
                try expect(.variableEnd)
                body.append(Statement(line: statementLine, node: .output(value)))
            default:
                try expect(.blockBegin)
                if case .name(let keyword) = current.kind, ends.contains(keyword) { return body }
                body.append(Statement(line: statementLine, node: try parseBlock()))
            }
        }
    }

    /// Reads a body and passes the keyword that ends it.
    private mutating func parseBody(untilPassed end: String) throws(TemplateError) -> [Statement] {
        let body = try parseBody(until: [end])
        advance()
        return body
    }

    private mutating func endOfTag() throws(TemplateError) { try expect(.blockEnd) }

    /// One block, after `{%`, up to and with the `%}` that ends its last tag.
    private mutating func parseBlock() throws(TemplateError) -> Statement.Node {
        let keywordLine = line
        let keyword = try expectName()
        let node: Statement.Node
        switch keyword {
        case "if": node = try parseIf()
        case "for": node = try parseFor()
        case "set": node = try parseSet()
        case "with": node = try parseWith()
        case "filter": node = try parseFilter()
        case "macro": node = .macro(try parseMacro())
        case "call": node = try parseCall()
        case "print": node = try parsePrint()
        case "generation":
            try endOfTag()
            node = .generation(try parseBody(untilPassed: "endgeneration"))
        case "break", "continue":
            guard loopNesting > 0 else { throw .syntax(line: keywordLine, message: "'\(keyword)' outside of a loop") }
            node = keyword == "break" ? .breakLoop : .continueLoop
        case "else", "elif", "endif", "endfor", "endset", "endmacro", "endcall", "endfilter", "endwith",
            "endgeneration":
            throw .syntax(line: keywordLine, message: "unexpected '\(keyword)'")
        default: throw .unsupported(construct: "the tag '\(keyword)'", line: keywordLine)
        }
        try endOfTag()
        return node
    }

    // MARK: Blocks, after their keyword; each stops before its last `%}`

    private mutating func parseIf() throws(TemplateError) -> Statement.Node {
        var branches: [(condition: Expression, body: [Statement])] = []
        while true {
            let condition = try parseOperation()
            try endOfTag()
            let body = try parseBody(until: ["elif", "else", "endif"])
            branches.append((condition, body))
            if skip(name: "elif") { continue }
            var otherwise: [Statement] = []
            if skip(name: "else") {
                try endOfTag()
                otherwise = try parseBody(until: ["endif"])
            }
            advance()
            return .conditional(branches, otherwise: otherwise)
        }
    }

    private mutating func parseFor() throws(TemplateError) -> Statement.Node {
        let target = try parseTarget()
        try expect(.name("in"))
        let sequence = try parseTuple(allowsConditional: false)
        let filter = skip(name: "if") ? try parseExpression() : nil
        if isAt(name: "recursive") { throw .unsupported(construct: "a recursive loop", line: line) }
        try endOfTag()
        loopNesting += 1
        let body = try parseBody(until: ["else", "endfor"])
        loopNesting -= 1
        var otherwise: [Statement] = []
        if skip(name: "else") {
            try endOfTag()
            otherwise = try parseBody(until: ["endfor"])
        }
        advance()
        return .loop(
            Statement.Loop(target: target, sequence: sequence, filter: filter, body: body, otherwise: otherwise))
    }

    private mutating func parseSet() throws(TemplateError) -> Statement.Node {
        let target = try parseTarget(allowsAttribute: true)
        if skip(.assign) { return .assign(target, try parseTuple()) }
        let filters = try parseFilters()
        try endOfTag()
        return .assignBlock(target, filters: filters, body: try parseBody(untilPassed: "endset"))
    }

    private mutating func parseWith() throws(TemplateError) -> Statement.Node {
        var values: [(target: Statement.Target, value: Expression)] = []
        while current.kind != .blockEnd {
            if !values.isEmpty { try expect(.symbol(.comma)) }
            let target = try parseTarget()
            try expect(.symbol(.assign))
            values.append((target, try parseExpression()))
        }
        try endOfTag()
        return .with(values, body: try parseBody(untilPassed: "endwith"))
    }

    private mutating func parseFilter() throws(TemplateError) -> Statement.Node {
        var filters = [try parseFilterCall()]
        filters += try parseFilters()
        try endOfTag()
        return .filtered(filters, body: try parseBody(untilPassed: "endfilter"))
    }

    private mutating func parsePrint() throws(TemplateError) -> Statement.Node {
        let line = line
        var values = [try parseExpression()]
        while skip(.comma) { values.append(try parseExpression()) }
        return .output(Expression(line: line, node: .concatenation(values)))
    }

    private mutating func parseFilters() throws(TemplateError) -> [Expression.Access] {
        var filters: [Expression.Access] = []
        while skip(.pipe) { filters.append(try parseFilterCall()) }
        return filters
    }

    private mutating func parseMacro() throws(TemplateError) -> Statement.MacroDefinition {
        let name = try expectName()
        let parameters = try parseParameters()
        try endOfTag()
        return Statement.MacroDefinition(
            name: name, parameters: parameters, body: try parseMacroBody(end: "endmacro"))
    }

    private mutating func parseCall() throws(TemplateError) -> Statement.Node {
        let parameters = isAt(.leftParenthesis) ? try parseParameters() : []
        let call = try parseExpression()
        guard case .access(_, let accesses) = call.node, case .call = accesses.last?.kind else {
            throw .syntax(line: line, message: "expected a call")
        }
        try endOfTag()
        let caller = Statement.MacroDefinition(
            name: "caller", parameters: parameters, body: try parseMacroBody(end: "endcall"))
        return .call(call, caller: caller)
    }

    /// A macro's body is no part of the loop around it.
    private mutating func parseMacroBody(end: String) throws(TemplateError) -> [Statement] {
        let outer = loopNesting
        loopNesting = 0
        defer { loopNesting = outer }
        return try parseBody(untilPassed: end)
    }

    private mutating func parseParameters() throws(TemplateError) -> [Statement.MacroDefinition.Parameter] {
        var parameters: [Statement.MacroDefinition.Parameter] = []
        try expect(.symbol(.leftParenthesis))
        while !skip(.rightParenthesis) {
            if !parameters.isEmpty { try expect(.symbol(.comma)) }
            let name = try expectName()
            parameters.append(.init(name: name, defaultValue: skip(.assign) ? try parseExpression() : nil))
        }
        return parameters
    }

    /// `a`, `a, b`, `(a, b), c`, and for `set` also `namespace.member`.
    private mutating func parseTarget(allowsAttribute: Bool = false) throws(TemplateError) -> Statement.Target {
        try enter()
        defer { leave() }
        var targets: [Statement.Target] = []
        var isTuple = false
        while true {
            if skip(.leftParenthesis) {
                targets.append(try parseTarget())
                try expect(.symbol(.rightParenthesis))
            } else {
                let name = try expectName()
                if allowsAttribute, skip(.dot) {
                    targets.append(.attribute(object: name, name: try expectName()))
                } else {
                    targets.append(.name(name))
                }
            }
            guard skip(.comma) else { break }
            isTuple = true
            if case .name = current.kind, !isAt(name: "in") { continue }
            guard isAt(.leftParenthesis) else { break }
        }
        return isTuple ? .tuple(targets) : targets[0]
    }
}
