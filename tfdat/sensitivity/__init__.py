"""Which of the decisions that the papers leave open change their conclusions?"""
