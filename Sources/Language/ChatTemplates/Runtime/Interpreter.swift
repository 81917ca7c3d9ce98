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

    /// What `body` writes in a scope of its own, instead of writing it.
    func captureBlock(_ body: [Statement]) throws(TemplateError) -> String {
        let place = enterBlock()
        defer { leave(to: place) }
        return try capture(body)
    }

    func capture(_ body: [Statement]) throws(TemplateError) -> String {
        let outer = output
        output = []
        defer { output = outer }
        _ = try execute(body)
        return String(decoding: output, as: UTF8.self)
    }

    typealias Place = (scope: Scope, loop: LoopState?)

    /// Goes into a scope and gives the place to come back to, for `leave`: as a pair and not as a function around a
    /// closure, because those cost stack at every level of a template.
    func enter(_ inner: Scope, loop innerLoop: LoopState?) -> Place {
        defer { (scope, loop) = (inner, innerLoop) }
        return (scope, loop)
    }

    func enterBlock() -> Place { enter(Scope(outer: scope), loop: loop) }

    func leave(to place: Place) { (scope, loop) = place }

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

    // The cases are taken apart in functions of their own: a switch that binds all payloads has a large stack frame,
    // and this one is on the stack once for each level of a template.
    private func execute(_ statement: Statement) throws(TemplateError) -> Flow {
        switch statement.node {
        case .text: try executeText(statement)
        case .output: try executeOutput(statement)
        case .conditional: return try executeIf(statement)
        case .loop: return try executeLoop(statement)
        case .assign: try executeAssign(statement)
        case .assignBlock: try executeAssignBlock(statement)
        case .with: return try executeWith(statement)
        case .filtered: try executeFiltered(statement)
        case .macro: defineMacro(statement)
        case .call: try executeCall(statement)
        case .generation: return try executeGeneration(statement)
        case .breakLoop: return .breaksLoop
        case .continueLoop: return .continuesLoop
        }
        return .goesOn
    }

    private func executeText(_ statement: Statement) throws(TemplateError) {
        guard case .text(let text) = statement.node else { return }
        try write(text)
    }

    private func executeOutput(_ statement: Statement) throws(TemplateError) {
        guard case .output(let expression) = statement.node else { return }
        try write(try budget.text(try evaluate(expression)))
    }

    private func executeIf(_ statement: Statement) throws(TemplateError) -> Flow {
        guard case .conditional(let branches, let otherwise) = statement.node else { return .goesOn }
        for branch in branches where try evaluate(branch.condition).isTrue {
            return try execute(branch.body)
        }
        return try execute(otherwise)
    }

    private func executeLoop(_ statement: Statement) throws(TemplateError) -> Flow {
        guard case .loop(let definition) = statement.node else { return .goesOn }
        let items = try selectItems(of: definition)
        guard !items.isEmpty else { return try execute(definition.otherwise) }
        let state = LoopState(items: items, outer: loop)
        for index in items.indices {
            try budget.charge()
            state.index = index
            let flow = try executeIteration(definition, state)
            if case .breaksLoop = flow { break }
        }
        return .goesOn
    }

    /// Each pass has its own scope: what it sets is gone in the next one.
    private func executeIteration(_ definition: Statement.Loop, _ state: LoopState) throws(TemplateError) -> Flow {
        let place = enter(Scope(outer: scope), loop: state)
        defer { leave(to: place) }
        scope["loop"] = .loop(state)
        try assign(definition.target, state.items[state.index])
        return try execute(definition.body)
    }

    private func selectItems(of definition: Statement.Loop) throws(TemplateError) -> [Value] {
        let items = try budget.elements(try evaluate(definition.sequence))
        guard let filter = definition.filter else { return items }
        let place = enterBlock()
        defer { leave(to: place) }
        var kept: [Value] = []
        for item in items {
            try budget.charge()
            try assign(definition.target, item)
            if try evaluate(filter).isTrue { kept.append(item) }
        }
        return kept
    }

    private func executeAssign(_ statement: Statement) throws(TemplateError) {
        guard case .assign(let target, let expression) = statement.node else { return }
        try assign(target, try evaluate(expression))
    }

    private func executeAssignBlock(_ statement: Statement) throws(TemplateError) {
        guard case .assignBlock(let target, let filters, let body) = statement.node else { return }
        try assign(target, try apply(filters, to: .string(try captureBlock(body))))
    }

    private func executeWith(_ statement: Statement) throws(TemplateError) -> Flow {
        guard case .with(let values, let body) = statement.node else { return .goesOn }
        let inner = Scope(outer: scope)
        for (target, expression) in values {
            let value = try evaluate(expression)
            let place = enter(inner, loop: loop)
            defer { leave(to: place) }
            try assign(target, value)
        }
        let place = enter(inner, loop: loop)
        defer { leave(to: place) }
        return try execute(body)
    }

    private func executeFiltered(_ statement: Statement) throws(TemplateError) {
        guard case .filtered(let filters, let body) = statement.node else { return }
        try write(try budget.text(try apply(filters, to: .string(try captureBlock(body)))))
    }

    private func executeGeneration(_ statement: Statement) throws(TemplateError) -> Flow {
        guard case .generation(let body) = statement.node else { return .goesOn }
        let place = enterBlock()
        defer { leave(to: place) }
        return try execute(body)
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

    private func defineMacro(_ statement: Statement) {
        guard case .macro(let definition) = statement.node else { return }
        scopesOfMacros.append(scope)
        scope[definition.name] = .macro(Macro(definition, scope: scope))
    }

    private func executeCall(_ statement: Statement) throws(TemplateError) {
        guard case .call(let expression, let definition) = statement.node,
            case .access(let base, let accesses) = expression.node, let last = accesses.last,
            case .call(let list) = last.kind
        else { return }
        scopesOfMacros.append(scope)
        let caller = Value.macro(Macro(definition, scope: scope))
        let callee = try apply(Array(accesses.dropLast()), to: try evaluate(base))
        var arguments = try evaluate(list)
        arguments.keywords.append(("caller", caller))
        budget.line = last.line
        try write(try budget.text(try call(callee, arguments)))
    }
}
