"""What the schema takes and what it refuses, in a sentence."""

import pytest

from genlit.errors import GenlitError
from genlit.sweep import schema

METRIC = {"name": "loss"}
X = {"min": 0.0, "max": 1.0}


def read(**keys):
    return schema.read({"method": "bayes", "metric": METRIC, "parameters": {"x": X}} | keys)


def test_nested_parameters_have_dotted_names_in_wandbs_order():
    lr = {"parameters": {"generator": {"value": 2}, "critic": {"value": 1}}}
    spec = read(parameters={"seed": {"value": 0}, "model": {"parameters": {"width": {"values": [1]}, "lr": lr}}})
    assert [each.name for each in spec.parameters] == ["model.lr.critic", "model.lr.generator", "model.width", "seed"]


def test_defaults_are_wandbs():
    spec = read(parameters={"x": {"distribution": "q_normal"}})
    assert spec.parameters[0].settings == {"mu": 0, "sigma": 1, "q": 1}
    assert (spec.metric.goal, spec.metric.target, spec.metric.impute) == ("minimize", None, "worst")
    assert spec.hyperband is spec.run_cap is spec.command is None
    assert not spec.local
    assert read(controller={"type": "local"}).local
    assert read(early_terminate={"type": "hyperband", "min_iter": 1}).hyperband.strict
    assert read(program="train.py").command == ["${env}", "${interpreter}", "${program}", "${args}"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"paramters": {}}, "unknown name 'paramters'; did you mean 'parameters'"),
        ({"method": "baise"}, "method: unknown name 'baise'"),
        ({"method": None}, "method: unknown name 'None'; there are bayes, random, grid"),
        ({"metric": None}, "metric: the sweep says not what it seeks"),
        ({"metric": {"name": "loss", "gaol": "minimize"}}, "metric: unknown name 'gaol'; did you mean 'goal'"),
        ({"metric": {"name": "loss", "goal": "minimise"}}, "did you mean 'minimize'"),
        ({"metric": {"name": "loss", "target": "low"}}, "metric.target is 'low'"),
        ({"parameters": {}}, "parameters: the sweep has none"),
        ({"parameters": {"x": 3}}, r"parameters.x is 3: write `x: \{value: 3\}`"),
        ({"parameters": {"x": {"min": 1}}}, "parameters.x: give a value"),
        ({"parameters": {"x": {"mni": 1, "max": 2}}}, "unknown name 'mni'; did you mean 'min'"),
        ({"parameters": {"x": {"distribution": "log_unifrom", "min": 1, "max": 2}}}, "did you mean 'log_uniform'"),
        ({"parameters": {"x": {"distribution": "uniform", "min": 1}}}, "uniform needs max"),
        ({"parameters": {"x": {"distribution": "uniform", "min": 1, "max": 2, "q": 1}}}, "unknown name 'q'"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "parameters.x: min 2 is not below max 1"),
        ({"parameters": {"x": {"min": "a", "max": 1}}}, "parameters.x.min is 'a': it must be a finite number"),
        ({"parameters": {"x": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "values above 0"),
        ({"parameters": {"x": {"distribution": "int_uniform", "min": 0, "max": 1.5}}}, "takes whole numbers"),
        ({"parameters": {"x": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}}, "x.q is 0"),
        ({"parameters": {"x": {"values": []}}}, "x.values is "),
        ({"parameters": {"x": {"values": [1, 2], "probabilities": [1.0]}}}, "a list of 2 numbers"),
        ({"parameters": {"x": {"values": [1, 2], "probabilities": [0.5, 0.6]}}}, "sum to 1.1"),
        ({"parameters": {"a.b": X, "a": {"parameters": {"b": X}}}}, "a.b is given twice"),
        ({"method": "grid"}, "a grid has no uniform"),
        ({"early_terminate": {"type": "median"}}, "unknown name 'median'"),
        ({"early_terminate": {"type": "hyperband"}}, "needs min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "early_terminate.s is missing"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 1}}, "leaves no band"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta is 1"),
        ({"controller": {"type": "locl"}}, "did you mean 'local'"),
        ({"run_cap": 0}, "run_cap is 0"),
        ({"command": "python train.py"}, "command must be a list"),
    ],
)
def test_what_will_not_do_is_one_sentence_with_the_key(keys, told):
    with pytest.raises(GenlitError, match=told):
        read(**keys)
