/// Walks a template's tree and writes its text.
///
/// One interpreter renders once.
final class Interpreter {
    enum Flow {
        case goesOn
        case breaksLoop
        case continuesLoop
    }

    let budget: Budget
    let now: TemplateTime
    private var output: [UInt8] = []
    private var scope: Scope
    private var loop: LoopState?
    // Macros and their scopes point at each other, and a namespace can hold a macro: these links are cut at the end.
    private var scopesOfMacros: [Scope] = []
    private var namespaces: [Namespace] = []

    init(limits: TemplateLimits, now: TemplateTime) {
        budget = Budget(limits)
        self.now = now
        scope = Scope(outer: nil)
    }

    deinit {
        for scope in scopesOfMacros { scope.removeAll() }
        for namespace in namespaces { namespace.attributes = [:] }
    }

    func define(_ name: String, _ value: Value) { scope[name] = value }

    func render(_ body: [Statement]) throws(TemplateError) -> String {
        scope = Scope(outer: scope)
        _ = try execute(body)
        return String(decoding: output, as: UTF8.self)
    }

    // MARK: Scopes and output, for the extensions

    func lookUp(_ name: String) -> Value? { scope[name] }

    func makeNamespace() throws(TemplateError) -> Namespace {
        try budget.charge()
        let namespace = Namespace()
        namespaces.append(namespace)
        return namespace
    }

    func write(_ text: String) throws(TemplateError) {
        guard output.count + text.utf8.count <= budget.limits.outputBytes else {
            throw .limitExceeded(
                limit: "bytes of text", maximum: budget.limits.outputBytes, line: budget.line)
        }
        try budget.charge(textBytes: text.utf8.count)
        output += Array(text.utf8)
    }

    /// What `body` writes, instead of writing it.
    func capture(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> String {
        let outer = output
        output = []
        defer { output = outer }
        try body()
        return String(decoding: output, as: UTF8.self)
    }

    func inScope<Result>(
        _ inner: Scope, loop innerLoop: LoopState?, _ body: () throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        let (outer, outerLoop) = (scope, loop)
        (scope, loop) = (inner, innerLoop)
        defer { (scope, loop) = (outer, outerLoop) }
        return try body()
    }

    // MARK: Statements

    func execute(_ body: [Statement]) throws(TemplateError) -> Flow {
        try budget.enter()
        defer { budget.leave() }
        for statement in body {
            try budget.charge()
            budget.line = statement.line
            let flow = try execute(statement)
            guard case .goesOn = flow else { return flow }
        }
        return .goesOn
    }

    private func execute(_ statement: Statement) throws(TemplateError) -> Flow {
        switch statement.node {
        case .text(let text): try write(text)
        case .output(let expression): try executeOutput(expression)
        case .conditional(let branches, let otherwise): return try executeIf(branches, otherwise)
        case .loop(let loop): return try executeLoop(loop)
        case .assign(let target, let expression): try assign(target, try evaluate(expression))
        case .assignBlock(let target, let filters, let body): try executeAssignBlock(target, filters, body)
        case .with(let values, let body): return try executeWith(values, body)
        case .filtered(let filters, let body): try executeFiltered(filters, body)
        case .macro(let definition): defineMacro(definition)
        case .call(let expression, let caller): try executeCall(expression, caller)
        case .generation(let body):
            return try inScope(Scope(outer: scope), loop: loop) { () throws(TemplateError) in try execute(body) }
        case .breakLoop: return .breaksLoop
        case .continueLoop: return .continuesLoop
        }
        return .goesOn
    }

    private func executeOutput(_ expression: Expression) throws(TemplateError) {
        try write(try budget.text(try evaluate(expression)))
    }

    private func executeIf(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement]
    ) throws(TemplateError) -> Flow {
        for branch in branches where try evaluate(branch.condition).isTrue {
            return try execute(branch.body)
        }
        return try execute(otherwise)
    }

    private func executeLoop(_ statement: Statement.Loop) throws(TemplateError) -> Flow {
        let items = try selectItems(of: statement)
        guard !items.isEmpty else { return try execute(statement.otherwise) }
        let state = LoopState(items: items, outer: loop)
        for index in items.indices {
            try budget.charge()
            state.index = index
            let flow = try executeIteration(statement, state)
            if case .breaksLoop = flow { break }
        }
        return .goesOn
    }

    /// Each pass has its own scope: what it sets is gone in the next one.
    private func executeIteration(_ statement: Statement.Loop, _ state: LoopState) throws(TemplateError) -> Flow {
        let inner = Scope(outer: scope)
        return try inScope(inner, loop: state) { () throws(TemplateError) in
            inner["loop"] = .loop(state)
            try assign(statement.target, state.items[state.index])
            return try execute(statement.body)
        }
    }

    private func selectItems(of statement: Statement.Loop) throws(TemplateError) -> [Value] {
        let items = try budget.elements(try evaluate(statement.sequence))
        guard let filter = statement.filter else { return items }
        let inner = Scope(outer: scope)
        return try inScope(inner, loop: loop) { () throws(TemplateError) in
            var kept: [Value] = []
            for item in items {
                try budget.charge()
                try assign(statement.target, item)
                if try evaluate(filter).isTrue { kept.append(item) }
            }
            return kept
        }
    }

    private func executeAssignBlock(
        _ target: Statement.Target, _ filters: [Expression.Access], _ body: [Statement]
    ) throws(TemplateError) {
        let inner = Scope(outer: scope)
        let text = try capture { () throws(TemplateError) in
            _ = try inScope(inner, loop: loop) { () throws(TemplateError) in try execute(body) }
        }
        try assign(target, try apply(filters, to: .string(text)))
    }

    private func executeWith(
        _ values: [(target: Statement.Target, value: Expression)], _ body: [Statement]
    ) throws(TemplateError) -> Flow {
        let inner = Scope(outer: scope)
        for (target, expression) in values {
            let value = try evaluate(expression)
            try inScope(inner, loop: loop) { () throws(TemplateError) in try assign(target, value) }
        }
        return try inScope(inner, loop: loop) { () throws(TemplateError) in try execute(body) }
    }

    private func executeFiltered(_ filters: [Expression.Access], _ body: [Statement]) throws(TemplateError) {
        let inner = Scope(outer: scope)
        let text = try capture { () throws(TemplateError) in
            _ = try inScope(inner, loop: loop) { () throws(TemplateError) in try execute(body) }
        }
        try write(try budget.text(try apply(filters, to: .string(text))))
    }

    // MARK: Assignment

    func assign(_ target: Statement.Target, _ value: Value) throws(TemplateError) {
        switch target {
        case .name(let name): scope[name] = value
        case .attribute(let object, let name): try assign(member: name, of: object, value)
        case .tuple(let targets): try unpack(value, to: targets)
        }
    }

    private func unpack(_ value: Value, to targets: [Statement.Target]) throws(TemplateError) {
        let items = try budget.elements(value)
        guard items.count == targets.count else {
            throw budget.typeError("\(items.count) values cannot be assigned to \(targets.count) names")
        }
        for (target, item) in zip(targets, items) { try assign(target, item) }
    }

    private func assign(member name: String, of object: String, _ value: Value) throws(TemplateError) {
        guard case .namespace(let namespace)? = lookUp(object) else {
            throw budget.typeError("'\(object)' is no namespace: only a namespace's members can be set")
        }
        guard value.depth != nil else { throw budget.unsupported("a \(value.typeName) inside a namespace") }
        namespace.attributes[name] = value
    }

    // MARK: Macros

    private func defineMacro(_ definition: Statement.MacroDefinition) {
        scopesOfMacros.append(scope)
        scope[definition.name] = .macro(Macro(definition, scope: scope))
    }

    private func executeCall(
        _ expression: Expression, _ definition: Statement.MacroDefinition
    ) throws(TemplateError) {
        scopesOfMacros.append(scope)
        let caller = Value.macro(Macro(definition, scope: scope))
        guard case .access(let base, let accesses) = expression.node, let last = accesses.last,
            case .call(let list) = last.kind
        else { throw budget.typeError("expected a call") }
        let callee = try apply(Array(accesses.dropLast()), to: try evaluate(base))
        var arguments = try evaluate(list)
        arguments.keywords.append(("caller", caller))
        budget.line = last.line
        try write(try budget.text(try call(callee, arguments)))
    }
}
