"""A person from one video: the stages of personalization, and the report on what they made."""
