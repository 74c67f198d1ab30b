"""Recipes written for a data set: what it holds, what suits it, and the files."""

from mmdistill.recipes.new_recipe import NewRecipe, make_recipe, write_recipe
from mmdistill.recipes.request import Overrides, RecipeRequest

__all__ = [
    'NewRecipe',
    'Overrides',
    'RecipeRequest',
    'make_recipe',
    'write_recipe',
]
