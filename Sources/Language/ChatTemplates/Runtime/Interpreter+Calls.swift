/// Calls of macros and functions.
extension Interpreter {
    func call(_ callee: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        try budget.enter()
        defer { budget.leave() }
        switch callee {
        case .function(let function): return try function.body(self, arguments)
        case .macro(let macro): return try call(macro, arguments)
        case .undefined(let name): throw budget.unsupported("the function '\(name)'")
        case .loop: throw budget.unsupported("a recursive loop")
        default: throw budget.typeError("a \(callee.typeName) cannot be called")
        }
    }

    private func call(_ macro: Macro, _ arguments: Arguments) throws(TemplateError) -> Value {
        let line = budget.line
        defer { budget.line = line }
        let inner = Scope(outer: macro.scope)
        let place = enter(inner, loop: nil)
        defer { leave(to: place) }
        try bind(arguments, to: macro.definition, in: inner)
        return .string(try capture(macro.definition.body))
    }

    /// Gives the parameters their values; a default may use the parameters before it.
    private func bind(
        _ arguments: Arguments, to definition: Statement.MacroDefinition, in inner: Scope
    ) throws(TemplateError) {
        let parameters = definition.parameters
        for (name, value) in arguments.keywords where !parameters.contains(where: { $0.name == name }) {
            guard name == "caller" else {
                throw budget.typeError("'\(definition.name)' has no parameter '\(name)'")
            }
            inner["caller"] = value
        }
        for (index, parameter) in parameters.enumerated() {
            if index < arguments.positional.count, arguments[parameter.name] != nil {
                throw budget.typeError("'\(definition.name)' gets '\(parameter.name)' twice")
            }
            if let value = arguments[index, parameter.name] {
                inner[parameter.name] = value
            } else if let expression = parameter.defaultValue {
                inner[parameter.name] = try evaluate(expression)
            } else {
                inner[parameter.name] = .undefined(parameter.name)
            }
        }
        let rest = Array(arguments.positional.dropFirst(parameters.count))
        guard rest.isEmpty else {
            throw budget.typeError("'\(definition.name)' takes at most \(parameters.count) positional arguments")
        }
    }
}
